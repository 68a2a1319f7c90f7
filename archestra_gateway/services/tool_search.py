"""Finding the tool that a sentence asks for: Okapi BM25 over names, descriptions and parameters. Pure."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

NAME_WEIGHT = 3
SATURATION, LENGTH_WEIGHT = 1.2, 0.75
BYTES_PER_TOKEN = 4

_WORD = re.compile(r"[a-z]+|[0-9]+|[^\W_0-9a-z]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def words(text: str) -> list[str]:
    """`readFile_v2` → read, file, v, 2; a plural is its singular."""
    found: list[str] = _WORD.findall(_CAMEL.sub(" ", text).lower())
    return [word[:-1] if len(word) > 3 and word.endswith("s") and word[-2] != "s" else word for word in found]


def document(name: str, tool: Mapping[str, Any]) -> list[str]:
    """The words of a tool; those of its name count more."""
    schema = tool.get("inputSchema")
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    parameters = properties.items() if isinstance(properties, Mapping) else ()
    texts = [tool.get("title"), tool.get("description")]
    for parameter, described in parameters:
        texts += [parameter, described.get("description") if isinstance(described, Mapping) else None]
    return words(name) * NAME_WEIGHT + words(" ".join(text for text in texts if isinstance(text, str)))


def rank(query: str, documents: Sequence[Sequence[str]]) -> list[int]:
    """The places of the documents that fit, the best first."""
    wanted = set(words(query))
    counts = [Counter(each) for each in documents]
    frequency = {word: sum(word in count for count in counts) for word in wanted}
    average = sum(map(len, documents)) / max(len(documents), 1)

    def score(place: int) -> float:
        norm = SATURATION * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * len(documents[place]) / max(average, 1))
        return sum(
            math.log(1 + (len(documents) - frequency[word] + 0.5) / (frequency[word] + 0.5))
            * counts[place][word]
            * (SATURATION + 1)
            / (counts[place][word] + norm)
            for word in wanted
            if counts[place][word]
        )

    scores = {place: score(place) for place in range(len(documents))}
    return sorted((place for place in scores if scores[place] > 0), key=lambda place: -scores[place])


def token_cost(text: bytes) -> int:
    """About how many tokens a definition takes in a model's context: JSON has some four bytes a token."""
    return math.ceil(len(text) / BYTES_PER_TOKEN)

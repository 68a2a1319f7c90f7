"""What of a conversation fits into a model's context: the oldest goes first. Pure."""

import math
from collections.abc import Sequence
from itertools import accumulate

import attrs
import msgspec

from archestra_gateway.providers.conversation import AssistantTurn, Prompt, ToolTurn, Turn, UserTurn

BYTES_PER_TOKEN = 3.5
"""Of mixed text and JSON, on the safe side."""
IMAGE_TOKENS = 1500
TURN_TOKENS = 8
LARGEST_RESERVE = 4096
"""Tokens that are left for the answer, of a context that has room for them."""
SHARE_OF_RESULT = 0.5
"""Of the context, for one tool result."""
SMALLEST_RESULT = 500

LEFT_OUT = (
    "The model {model} takes {tokens} tokens: the {count} oldest messages and results were not shown to it"
)

Unit = tuple[Turn, ...]
"""What stays together: a tool call and its result."""


@attrs.define
class Context:
    """`tokens` is None where nobody knows; `left_out` is how many turns the last prompt had to do without."""

    tokens: int | None = None
    left_out: int = 0

    def fit(self, prompt: Prompt) -> Prompt:
        """The prompt without its oldest turns, where it is too large; never without the last question."""
        self.left_out = 0
        if self.tokens is None:
            return prompt
        room = self.tokens - min(self.tokens // 4, LARGEST_RESERVE) - _fixed(prompt)
        kept = _kept(_units(prompt.turns), room)
        self.left_out = len(prompt.turns) - len(kept)
        return attrs.evolve(prompt, turns=kept) if self.left_out else prompt

    def result_limit(self, limit: int) -> int:
        """Characters of one tool result that leave room for something else."""
        if self.tokens is None:
            return limit
        return min(limit, max(int(self.tokens * SHARE_OF_RESULT * BYTES_PER_TOKEN), SMALLEST_RESULT))

    def told(self, model: str) -> str:
        return LEFT_OUT.format(model=model, tokens=self.tokens, count=self.left_out)


def cost(turn: Turn) -> int:
    """About how many tokens a turn takes."""
    match turn:
        case UserTurn(text, images):
            return TURN_TOKENS + _tokens(text) + IMAGE_TOKENS * len(images)
        case AssistantTurn(text, reasoning, calls):
            return TURN_TOKENS + _tokens(text) + _tokens(reasoning) + sum(map(_weight, calls))
        case ToolTurn(results):
            return sum(TURN_TOKENS + _tokens(result.text) for result in results)


def _kept(units: Sequence[Unit], room: int) -> tuple[Turn, ...]:
    """From a question on, which every model wants first; with the last question, and the last of all."""
    costs = [sum(map(cost, unit)) for unit in units]
    from_here = list(accumulate(reversed(costs)))[::-1]
    questions = [place for place, unit in enumerate(units) if isinstance(unit[0], UserTurn)]
    if not questions or from_here[0] <= room:
        return tuple(turn for unit in units for turn in unit)
    start = next((place for place in questions if from_here[place] <= room), questions[-1])
    after = start + 1
    while after < len(units) - 1 and costs[start] + from_here[after] > room:
        after += 1
    return tuple(turn for unit in (units[start], *units[after:]) for turn in unit)


def _units(turns: Sequence[Turn]) -> list[Unit]:
    units: list[Unit] = []
    for turn in turns:
        if isinstance(turn, ToolTurn) and units:
            units[-1] = (*units[-1], turn)
        else:
            units.append((turn,))
    return units


def _fixed(prompt: Prompt) -> int:
    return _tokens(prompt.system) + sum(map(_weight, prompt.tools))


def _weight(value: object) -> int:
    return TURN_TOKENS + math.ceil(len(msgspec.json.encode(value, enc_hook=str)) / BYTES_PER_TOKEN)


def _tokens(text: str) -> int:
    return math.ceil(len(text.encode("utf-8", "surrogatepass")) / BYTES_PER_TOKEN)

"""How a search in the catalog finds and ranks. Pure."""

import re

from archestra_gateway.store import catalog as store

WORD = re.compile(r"[^\W_]+")
BEST, NAMED, MENTIONED = range(3)


def words_of(text: str) -> list[str]:
    return WORD.findall(text.lower())


def wanted(search: str) -> store.Search:
    """A search with a `/` or `.` in it may be a part of an id, such as `io.github.somebody/`."""
    part = search.strip().lower() if re.search(r"[/.]", search) else ""
    return store.search(words_of(search)[: store.WORDS], part)


def rank(search: store.Search, name: str, title: str, description: str, tags: list[str]) -> int | None:
    """As the database ranks; None for what does not fit."""
    label = " ".join(words_of(f"{name} {title}"))
    words = [search["word1"], search["word2"], search["word3"], search["word4"]]
    if search["phrase"] and search["phrase"] in (" ".join(words_of(name)), " ".join(words_of(title))):
        return BEST
    if all(word in label for word in words):
        return NAMED
    text = " ".join([label, *words_of(description), *tags])
    return MENTIONED if all(word in text for word in words) or search["part"] in name else None

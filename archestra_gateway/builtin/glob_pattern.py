"""Glob patterns over paths, in time that no pattern can make explode. Pure."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase


def matches(pattern: str, parts: Sequence[str]) -> bool:
    """`*.md` is about a name at any depth; with a `/` it is about the path, `**` is any number of names."""
    if "/" not in pattern:
        return pattern == "**" or fnmatchcase(parts[-1], pattern)
    wanted = pattern.strip("/").split("/")
    reached = set(_with_skips(wanted, {0}))
    for part in parts:
        reached = set(_with_skips(wanted, _advanced(wanted, reached, part)))
    return len(wanted) in reached


def _advanced(wanted: Sequence[str], reached: Iterable[int], part: str) -> Iterable[int]:
    """The places in the pattern that can be reached by one more name."""
    for place in reached:
        if place < len(wanted) and wanted[place] == "**":
            yield place
        elif place < len(wanted) and fnmatchcase(part, wanted[place]):
            yield place + 1


def _with_skips(wanted: Sequence[str], reached: Iterable[int]) -> Iterable[int]:
    """A `**` may also stand for nothing."""
    for place in reached:
        yield place
        while place < len(wanted) and wanted[place] == "**":
            place += 1
            yield place

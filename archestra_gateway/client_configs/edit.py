"""What one change replaced by what, so that it can be taken back byte for byte, even after other changes."""

from collections.abc import Callable, Iterator

import attrs


@attrs.frozen
class Edit:
    """At the place `at`, `before` became `after`."""

    at: int
    before: str
    after: str


def between(old: str, new: str) -> Edit:
    """The one stretch in which the two texts differ."""
    limit = min(len(old), len(new))
    start = _common(old, new, limit)
    end = _common(old[::-1], new[::-1], limit - start)
    return Edit(start, old[start : len(old) - end], new[start : len(new) - end])


def undo(text: str, edit: Edit, is_right: Callable[[str], bool]) -> str | None:
    """`text` with the edit taken back where `is_right` agrees, its own place first; else None."""
    for at in _places(text, edit):
        candidate = text[:at] + edit.before + text[at + len(edit.after) :]
        if is_right(candidate):
            return candidate
    return None


def _places(text: str, edit: Edit) -> Iterator[int]:
    if not edit.after:
        return
    if text.startswith(edit.after, edit.at):
        yield edit.at
    at = text.find(edit.after)
    while at >= 0:
        if at != edit.at:
            yield at
        at = text.find(edit.after, at + 1)


def _common(left: str, right: str, limit: int) -> int:
    """The length of the common beginning, found by halving."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low

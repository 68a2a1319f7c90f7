"""What a tool says about itself: when two definitions are the same, and how two differ. Pure."""

import difflib
import json
import unicodedata
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, NoReturn

import attrs
from msgspec import Raw

UNORDERED = frozenset({"required", "enum", "type"})
"""Members of a JSON Schema whose order says nothing."""

FIRST = ("description", "title", "inputSchema", "outputSchema", "annotations")
LONGEST = 20_000
MOST_LINES = 400


@attrs.frozen
class Definition:
    """`digest` is equal for definitions that say the same, whatever the order of their members."""

    name: str
    text: Raw = attrs.field(eq=False)
    digest: str

    @classmethod
    def read(cls, text: Raw) -> "Definition | None":
        """None for what no two readers may understand alike: without a name, or with a member given twice."""
        try:
            tool = parsed(text)
            name = tool.get("name") if isinstance(tool, dict) else None
            if not isinstance(name, str) or not name:
                return None
            name.encode()  # half a surrogate pair is no name
            return cls(name, text, digest(tool))
        except (ValueError, RecursionError):
            return None


def parsed(text: Raw) -> Any:
    """Raises ValueError or RecursionError."""
    return json.loads(bytes(text), object_pairs_hook=_once, parse_constant=_no_constant)


def digest(tool: Mapping[str, Any]) -> str:
    """Raises RecursionError for what is nested too deeply."""
    settled = {name: _settled(value) for name, value in tool.items() if value is not None}
    text = json.dumps(settled, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()[:32]


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The members that differ, each with its change line by line; `-` is what was, `+` what is now."""
    names = dict.fromkeys((*FIRST, *before, *after))
    for name in names:
        old, new = before.get(name), after.get(name)
        if old != new and _settled(old) != _settled(new):
            yield visible(name), _difference(lines(old), lines(new))


def lines(value: Any) -> list[str]:
    """For people to read, with everything that can not be seen written out."""
    if value is None:
        return []
    text = (
        value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    )
    cut = text[:LONGEST].splitlines()[:MOST_LINES]
    shown = [visible(line) for line in cut]
    if sum(map(len, cut)) + len(cut) < len(text):
        shown.append(f"… ({len(text)} characters in all)")
    return shown


def visible(text: str) -> str:
    """Zero-width, direction and tag characters, in which orders to a model are hidden, become escapes."""
    return "".join(character if _can_be_seen(character) else _escape(character) for character in text)


def _difference(old: list[str], new: list[str]) -> str:
    compared = list(difflib.unified_diff(old, new, n=2, lineterm=""))[2:]
    return "\n".join(line for line in compared if not line.startswith("@@"))


def _can_be_seen(character: str) -> bool:
    if character in " \t":
        return True
    return unicodedata.category(character)[0] not in "CZ" and not _is_variation(ord(character))


def _is_variation(number: int) -> bool:
    """Variation selectors, of which any number may follow a character unseen."""
    return 0xFE00 <= number <= 0xFE0F or 0xE0100 <= number <= 0xE01EF


def _escape(character: str) -> str:
    return f"\\u{{{ord(character):x}}}"


def _settled(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: sorted(each, key=json.dumps)
            if name in UNORDERED and isinstance(each, list) and not any(map(_is_nested, each))
            else _settled(each)
            for name, each in value.items()
        }
    return [_settled(each) for each in value] if isinstance(value, list) else value


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict | list)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member is given twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")

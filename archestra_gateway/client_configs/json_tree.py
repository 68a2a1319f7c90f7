"""JSON as a tree that knows what stands where; comments and trailing commas where the dialect has them."""

import json
import re
from typing import Any

import attrs

MAX_DEPTH = 200
BOM = "\ufeff"

_space = re.compile(r"[ \t\r\n]*")
_space_and_comments = re.compile(r"(?:[ \t\r\n]+|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_string = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_atom = re.compile(r"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class FormatError(ValueError):
    """The text is not what its format says; the message names the line."""


@attrs.frozen
class Dialect:
    comments: bool = False
    trailing_commas: bool = False


@attrs.frozen
class Member:
    """`comma` is the place of the comma behind the value, if there is one."""

    key: str
    start: int
    key_end: int
    value: "Node"
    comma: int | None


@attrs.frozen
class Node:
    """`members` is None for everything but an object; of two members with one key the last one counts."""

    start: int
    end: int
    value: Any
    members: tuple[Member, ...] | None = None

    def named(self, key: str) -> Member | None:
        return next((member for member in reversed(self.members or ()) if member.key == key), None)


def parse(text: str, dialect: Dialect) -> Node:
    """The one value that `text` is. Raises FormatError."""
    reader = _Reader(text, dialect)
    root = reader.value(reader.skip(len(BOM) if text.startswith(BOM) else 0), 0)
    end = reader.skip(root.end)
    if end != len(text):
        raise reader.refusal(end, "the document has ended, and more follows")
    return root


@attrs.frozen
class _Reader:
    text: str
    dialect: Dialect

    def skip(self, at: int) -> int:
        """The place after white space and, where they are allowed, comments."""
        pattern = _space_and_comments if self.dialect.comments else _space
        found = pattern.match(self.text, at)
        return found.end() if found else at

    def value(self, at: int, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise self.refusal(at, f"it is nested more than {MAX_DEPTH} levels deep")
        opening = self.text[at : at + 1]
        if opening == "{":
            return self._object(at, depth)
        if opening == "[":
            return self._array(at, depth)
        found = (_string if opening == '"' else _atom).match(self.text, at)
        if not found:
            raise self.refusal(at, "a value is expected")
        return Node(at, found.end(), json.loads(found.group()))

    def _object(self, start: int, depth: int) -> Node:
        members: list[Member] = []
        at = self.skip(start + 1)
        while self.text[at : at + 1] != "}":
            member, at = self._member(at, depth)
            members.append(member)
            self._check_separator(member.comma, at, "}")
        return Node(start, at + 1, {member.key: member.value.value for member in members}, tuple(members))

    def _member(self, at: int, depth: int) -> tuple[Member, int]:
        key = _string.match(self.text, at)
        if not key:
            raise self.refusal(at, "a key in double quotes is expected")
        colon = self.skip(key.end())
        if self.text[colon : colon + 1] != ":":
            raise self.refusal(colon, '":" is expected')
        value = self.value(self.skip(colon + 1), depth + 1)
        comma, after = self._comma(value.end)
        return Member(json.loads(key.group()), at, key.end(), value, comma), after

    def _array(self, start: int, depth: int) -> Node:
        items: list[Any] = []
        at = self.skip(start + 1)
        while self.text[at : at + 1] != "]":
            item = self.value(at, depth + 1)
            items.append(item.value)
            comma, at = self._comma(item.end)
            self._check_separator(comma, at, "]")
        return Node(start, at + 1, items)

    def _comma(self, end: int) -> tuple[int | None, int]:
        """Where the comma behind a value is, and where the next token is."""
        at = self.skip(end)
        return (at, self.skip(at + 1)) if self.text[at : at + 1] == "," else (None, at)

    def _check_separator(self, comma: int | None, at: int, closing: str) -> None:
        closes = self.text[at : at + 1] == closing
        if comma is None and not closes:
            raise self.refusal(at, f'"," or "{closing}" is expected')
        if comma is not None and closes and not self.dialect.trailing_commas:
            raise self.refusal(comma, f'a comma before "{closing}" is not allowed here')

    def refusal(self, at: int, what: str) -> FormatError:
        line = self.text.count("\n", 0, at) + 1
        if not self.dialect.comments and self.text[at : at + 2] in ("//", "/*"):
            what = "comments are not allowed here"
        return FormatError(f"line {line}: {what}")

"""One member of a JSON document set or removed; every other byte, comments included, stays as it is."""

import json
import re
from typing import Any

import attrs

from archestra_gateway.client_configs.json_tree import BOM, Dialect, FormatError, Member, Node, parse

_rest_of_line = re.compile(r"[ \t]*(?:/\*[^\r\n]*?\*/[ \t]*)*(?://[^\r\n]*)?")
_first_indent = re.compile(r'^([ \t]+)"', re.MULTILINE)


def load(text: str, dialect: Dialect) -> Any:
    """What the document says; an empty one is an empty object. Raises FormatError."""
    return {} if _is_empty(text) else parse(text, dialect).value


def set_member(text: str, path: tuple[str, ...], value: Any, dialect: Dialect) -> str:
    """`text` with `value` at `path`; objects on the way are made where they are missing or null."""
    if _is_empty(text):
        return _new_document(text, path, value)
    node = parse(text, dialect)
    for depth, key in enumerate(path):
        if node.members is None:
            raise FormatError(f"{_name(path[:depth])} is not an object")
        member = node.named(key)
        if member is None:
            return _insert(text, node, key, _nest(path[depth + 1 :], value))
        is_last = depth == len(path) - 1
        if is_last or member.value.value is None:
            return _replace(text, node, member, value if is_last else _nest(path[depth + 1 :], value))
        node = member.value
    return text


def remove_member(text: str, path: tuple[str, ...], dialect: Dialect) -> str:
    """`text` without the member at `path`, written twice or not."""
    while not _is_empty(text):
        node: Node | None = parse(text, dialect)
        for key in path[:-1]:
            found = node.named(key) if node else None
            node = found.value if found else None
        if node is None or node.named(path[-1]) is None:
            break
        text = _cut(text, node, next(n for n, m in enumerate(node.members or ()) if m.key == path[-1]))
    return text


def _is_empty(text: str) -> bool:
    return not text.removeprefix(BOM).strip(" \t\r\n")


def _new_document(text: str, path: tuple[str, ...], value: Any) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    body = json.dumps(_nest(path, value), indent=2, ensure_ascii=False).replace("\n", newline)
    return (BOM if text.startswith(BOM) else "") + body + newline


def _nest(path: tuple[str, ...], value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _name(path: tuple[str, ...]) -> str:
    return f'"{".".join(path)}"' if path else "the document"


@attrs.frozen
class _Style:
    """How the members of one object are written: on lines of their own, or all in one."""

    newline: str
    base: str
    indent: str
    unit: str
    colon: str
    in_lines: bool

    def member(self, key: str, value: Any) -> str:
        return json.dumps(key, ensure_ascii=False) + self.colon + self.value(value)

    def value(self, value: Any) -> str:
        if not self.in_lines:
            comma = "," if self.colon == ":" else ", "
            return json.dumps(value, ensure_ascii=False, separators=(comma, self.colon))
        body = json.dumps(value, ensure_ascii=False, indent=self.unit, separators=(",", self.colon))
        return body.replace("\n", self.newline + self.indent)


def _style(text: str, node: Node) -> _Style:
    members = node.members or ()
    base = _indent_of_line(text, node.start)
    first = _first_indent.search(text)
    unit = first.group(1) if first else "  "
    indent = base + unit
    for member in members:
        line = text[_line_start(text, member.start) : member.start]
        if not line.strip(" \t"):
            indent = line
            if line.startswith(base) and line != base:
                unit = line[len(base) :]
    return _Style(
        newline="\r\n" if "\r\n" in text else "\n",
        base=base,
        indent=indent,
        unit=unit,
        colon=_colon(text, members),
        in_lines=_is_in_lines(text, node),
    )


def _is_in_lines(text: str, node: Node) -> bool:
    if not node.members:
        return "\n" in text.strip() or node.start == 0 or text[: node.start] == BOM
    head = text[node.start : node.members[0].start]
    tail = text[node.members[-1].value.end : node.end]
    return "\n" in head or "\n" in tail


def _colon(text: str, members: tuple[Member, ...]) -> str:
    """The colon with the spaces that this file puts around it."""
    if members:
        sample = text[members[0].key_end : members[0].value.start]
    else:
        found = re.search(r'"([ ]?:[ ]?)', text)
        sample = found.group(1) if found else ": "
    return sample if sample in (":", ": ", " : ") else ": "


def _insert(text: str, node: Node, key: str, value: Any) -> str:
    style = _style(text, node)
    member = style.member(key, value)
    if not node.members:
        return _insert_first(text, node, member, style)
    last = node.members[-1]
    end = last.value.end if last.comma is None else last.comma + 1
    found = _rest_of_line.match(text, end)
    rest = found.end() if found else end
    gap = style.newline + style.indent if style.in_lines else ("" if style.colon == ":" else " ")
    if last.comma is None:
        if text[rest - 1] in " \t" and not style.in_lines:  # the space before the closing brace stays there
            rest -= len(text[end:rest]) - len(text[end:rest].rstrip(" \t"))
        return text[:end] + "," + text[end:rest] + gap + member + text[rest:]
    return text[:rest] + gap + member + "," + text[rest:]


def _insert_first(text: str, node: Node, member: str, style: _Style) -> str:
    inside = text[node.start + 1 : node.end - 1]
    kept = inside.rstrip(" \t\r\n")
    if not style.in_lines:
        return text[: node.start + 1] + kept + member + text[node.end - 1 :]
    tail = inside[len(kept) :] if kept and "\n" in inside[len(kept) :] else style.newline + style.base
    return text[: node.start + 1] + kept + style.newline + style.indent + member + tail + text[node.end - 1 :]


def _replace(text: str, node: Node, member: Member, value: Any) -> str:
    style = _style(text, node)
    if style.in_lines:
        style = attrs.evolve(style, indent=_indent_of_line(text, member.start))
    return text[: member.value.start] + style.value(value) + text[member.value.end :]


def _cut(text: str, node: Node, index: int) -> str:
    members = node.members or ()
    member = members[index]
    start, stop = _extent(text, member, members[index + 1] if index + 1 < len(members) else None)
    if len(members) == 1:
        inside = text[node.start + 1 : start] + text[stop : node.end - 1]
        return text[: node.start + 1] + (inside if inside.strip() else "") + text[node.end - 1 :]
    before = members[index - 1].comma if index else None
    if member.comma is None and before is not None:
        return text[:before] + text[before + 1 : start] + text[stop:]
    return text[:start] + text[stop:]


def _extent(text: str, member: Member, following: Member | None) -> tuple[int, int]:
    """What goes with a member: its comma, and its lines or the space around it."""
    stop = member.value.end if member.comma is None else member.comma + 1
    line = _line_start(text, member.start)
    if not text[line : member.start].strip(" \t") and line:
        is_alone = text[stop:].lstrip(" \t")[:1] in ("\r", "\n")
        return (_before_newline(text, line) if is_alone else member.start), stop
    if following and not text[stop : following.start].strip():
        return member.start, following.start
    spaces = len(text[: member.start]) - len(text[: member.start].rstrip(" \t"))
    return member.start - (spaces if following is None else 0), stop


def _line_start(text: str, at: int) -> int:
    return max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1


def _before_newline(text: str, line_start: int) -> int:
    at = line_start - 1
    return at - 1 if text[at - 1 : at + 1] == "\r\n" else at


def _indent_of_line(text: str, at: int) -> str:
    start = _line_start(text, at)
    line = text[start:at].removeprefix(BOM)
    return line[: len(line) - len(line.lstrip(" \t"))]

"""One item of a YAML map or list set or removed as lines of text; every other byte stays as it is."""

import io
import json
from typing import Any

import attrs
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node

from archestra_gateway.client_configs.json_tree import FormatError
from archestra_gateway.client_configs.section import Section
from archestra_gateway.client_configs.yaml_tree import Item, compose, is_block, is_nothing, items, load

__all__ = ["load", "remove_entry", "set_entry"]


@attrs.frozen
class _Piece:
    """What is to be written: a named value for a map, a value alone for a list."""

    name: str | None
    value: Any

    def block(self, indent: int, newline: str) -> str:
        """Lines of which the first stands where the cursor is."""
        writer = YAML()
        writer.width = 4096
        writer.default_flow_style = False
        stream = io.StringIO()
        writer.dump([self.value] if self.name is None else {self.name: self.value}, stream)
        return stream.getvalue().rstrip("\n").replace("\n", newline + " " * indent)

    def flow(self) -> str:
        value = json.dumps(self.value, ensure_ascii=False)
        return value if self.name is None else f"{json.dumps(self.name, ensure_ascii=False)}: {value}"


def set_entry(text: str, section: Section, name: str, entry: dict[str, Any]) -> str:
    """`text` with `entry` in the section; what is missing or empty on the way is made."""
    node = compose(text)
    if node is None:
        return _append_line(text, len(text), _nested(section, 0, name, entry).block(0, _newline(text)))
    for depth, key in enumerate(section.path):
        item = _find(text, node, key)
        piece = _nested(section, depth, name, entry)
        if item is None:
            return _append(text, node, piece)
        if is_nothing(item.value):
            return _replace(text, node, item, piece)
        node = item.value
    piece = _Piece(None if section.is_list else name, entry)
    old = _find(text, node, name)
    return _replace(text, node, old, piece) if old else _append(text, node, piece)


def remove_entry(text: str, section: Section, name: str) -> str:
    """`text` without the item; what becomes empty is written as `{}` or `[]`."""
    node, holder = compose(text), None
    for key in section.path:
        holder = _find(text, node, key) if node else None
        node = holder.value if holder else None
    found = items(text, node) if node else []
    index = next((index for index, item in enumerate(found) if item.name == name), None)
    if node is None or index is None:
        return text
    if not is_block(node):
        return _remove_from_flow(text, found, index)
    start, stop = _lines(text, found[index])
    if len(found) > 1 or holder is None:
        return text[:start] + text[stop:]
    colon = text.index(":", holder.start + len(holder.name or "")) + 1
    empty = " {}" if isinstance(node, MappingNode) else " []"
    return text[:colon] + empty + text[colon:start] + text[stop:]


def _nested(section: Section, depth: int, name: str, entry: dict[str, Any]) -> _Piece:
    """The entry, wrapped in what is missing below `depth` of the path."""
    value: Any = [entry] if section.is_list else {name: entry}
    for key in reversed(section.path[depth + 1 :]):
        value = {key: value}
    return _Piece(section.path[depth], value)


def _find(text: str, node: Node, name: str) -> Item | None:
    return next((item for item in reversed(items(text, node)) if item.name == name), None)


def _append(text: str, node: Node, piece: _Piece) -> str:
    found = items(text, node)
    if not is_block(node):
        at = found[-1].end if found else node.start_mark.index + 1
        return text[:at] + (", " if found else "") + piece.flow() + text[at:]
    indent = _column(text, found[0].start)
    lines = " " * indent + piece.block(indent, _newline(text))
    return _append_line(text, _line_end(text, found[-1].end), lines)


def _append_line(text: str, at: int, lines: str) -> str:
    """`lines` as lines of their own behind the line that ends at `at`."""
    newline = _newline(text)
    if at == 0 or text[at - 1] == "\n":
        return text[:at] + lines + newline + text[at:]
    return text[:at] + newline + lines + (text[at:] or newline)


def _replace(text: str, node: Node, item: Item, piece: _Piece) -> str:
    if not is_block(node):
        return text[: item.start] + piece.flow() + text[item.end :]
    body = piece.block(_column(text, item.start), _newline(text))
    ending = _newline(text) if text[item.end - 1] == "\n" else ""
    return text[: item.start] + body + ending + text[item.end :]


def _remove_from_flow(text: str, found: list[Item], index: int) -> str:
    start, stop = found[index].start, found[index].end
    if index + 1 < len(found):
        stop = found[index + 1].start
    elif index:
        start = found[index - 1].end
    return text[:start] + text[stop:]


def _lines(text: str, item: Item) -> tuple[int, int]:
    start = item.start - _column(text, item.start)
    if text[start : item.start].strip():
        raise FormatError("an entry begins in the middle of a line; edit it by hand")
    stop = _line_end(text, item.end)
    if text[stop : stop + 2] == "\r\n":
        return start, stop + 2
    return start, stop + 1 if text[stop : stop + 1] == "\n" and text[stop - 1] != "\n" else stop


def _line_end(text: str, at: int) -> int:
    """The end of the line that `at` is in; `at` itself when it is where a block scalar ended."""
    if at and text[at - 1] == "\n":
        return at
    found = text.find("\n", at)
    end = len(text) if found < 0 else found
    return end - 1 if text[end - 1 : end + 1] == "\r\n" else end


def _column(text: str, at: int) -> int:
    return at - (text.rfind("\n", 0, at) + 1)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"

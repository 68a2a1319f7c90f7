"""Where the items of a YAML collection stand in their text, as ruamel.yaml reads it."""

import re
from typing import Any

import attrs
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from archestra_gateway.client_configs.json_tree import FormatError

_alias = re.compile(r"\s*:\s*\*[^\s,\[\]{}]+")
_colon = re.compile(r"\s*:")


@attrs.frozen
class Item:
    """One `key: value` of a map or one `- value` of a list; `start` is the key or the dash."""

    name: str | None
    start: int
    end: int
    value: Node


def load(text: str) -> Any:
    """What the document says, `{}` for an empty one. Raises FormatError."""
    try:
        document = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        raise FormatError(_sentence(error)) from error
    return {} if document is None else document


def compose(text: str) -> Node | None:
    """The document as nodes with marks. Raises FormatError."""
    try:
        root: Node | None = YAML(typ="safe", pure=True).compose(text)
    except (YAMLError, ValueError, RecursionError) as error:
        raise FormatError(_sentence(error)) from error
    return root


def is_block(node: Node) -> bool:
    return isinstance(node, MappingNode | SequenceNode) and not node.flow_style


def is_nothing(node: Node) -> bool:
    """Null or an empty collection: what a block may be written in the place of."""
    if isinstance(node, ScalarNode):
        return node.value in ("", "~", "null", "Null", "NULL") and node.style is None
    return not node.value


def items(text: str, node: Node) -> list[Item]:
    """The items of a map or list in their order; `name` is a map's key or the `name` of a list's entry."""
    if isinstance(node, MappingNode):
        return [_pair(text, key, value) for key, value in node.value]
    if not isinstance(node, SequenceNode):
        raise FormatError("a map or a list is expected where the servers are")
    found: list[Item] = []
    for value in node.value:
        start = value.start_mark.index
        if found and start < found[-1].end:
            raise FormatError("an alias stands in the list of servers; edit it by hand")
        if is_block(node):
            start = text.rfind("-", 0, start)
        found.append(Item(_name_of(value), start, content_end(text, value), value))
    return found


def content_end(text: str, node: Node) -> int:
    """The end of the last scalar; a mark of a block itself lies behind the comments that follow it."""
    if is_block(node) and node.value:
        return items(text, node)[-1].end
    return int(node.end_mark.index)


def _pair(text: str, key: Node, value: Node) -> Item:
    name = key.value if isinstance(key, ScalarNode) else None
    start, key_end = key.start_mark.index, key.end_mark.index
    if value.start_mark.index < key_end:
        found = _alias.match(text, key_end)
    elif value.start_mark.index == value.end_mark.index:
        found = _colon.match(text, key_end)
    else:
        return Item(name, start, content_end(text, value), value)
    return Item(name, start, found.end() if found else key_end, value)


def _name_of(node: Node) -> str | None:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if key.value == "name" and isinstance(value, ScalarNode):
                return str(value.value)
    return None


def _sentence(error: BaseException) -> str:
    if isinstance(error, MarkedYAMLError) and error.problem:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        return f"{line}{error.problem}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error).split("\n")[0]

"""Where a file keeps its servers, and what setting or removing one means for the values; no text here."""

from collections.abc import Mapping
from typing import Any

import attrs

from archestra_gateway.client_configs.json_tree import FormatError


@attrs.frozen
class Section:
    """`path` leads to a map of name → entry or, when `is_list`, to a list of entries with a `name`."""

    path: tuple[str, ...]
    is_list: bool = False


def entries(document: Any, section: Section) -> dict[str, Any]:
    """The servers by name; empty when the section is missing. Raises FormatError for anything else."""
    found = _at(document, section.path)
    if found is None:
        return {}
    if section.is_list:
        return {item["name"]: item for item in _checked(found, list, section) if _has_name(item)}
    return dict(_checked(found, dict, section))


def with_entry(document: Any, section: Section, name: str, entry: Any) -> Any:
    """A copy of `document` in which `name` is `entry`; it takes the place of an entry of that name."""
    held = _at(document, section.path)
    if not section.is_list:
        return _placed(document, section.path, {**_checked(held or {}, dict, section), name: entry})
    items = list(_checked(held or [], list, section))
    places = [index for index, item in enumerate(items) if _has_name(item) and item["name"] == name]
    if places:
        items[places[-1]] = entry
    else:
        items.append(entry)
    return _placed(document, section.path, items)


def without_entry(document: Any, section: Section, name: str) -> Any:
    """A copy of `document` without `name`."""
    held = _at(document, section.path)
    if held is None:
        return document
    if section.is_list:
        kept: Any = [item for item in held if not (_has_name(item) and item["name"] == name)]
    else:
        kept = {key: value for key, value in held.items() if key != name}
    return _placed(document, section.path, kept)


def without_empty(document: Any, path: tuple[str, ...]) -> Any:
    """A copy of `document` without the member at `path`, which is empty."""
    parent = _at(document, path[:-1])
    return _placed(document, path[:-1], {key: value for key, value in parent.items() if key != path[-1]})


def depth_present(document: Any, path: tuple[str, ...]) -> int:
    """How many keys of `path` the document already has."""
    depth = 0
    while depth < len(path) and isinstance(document, Mapping) and document.get(path[depth]) is not None:
        document = document[path[depth]]
        depth += 1
    return depth


def is_empty(document: Any, path: tuple[str, ...]) -> bool:
    """Whether there is a member at `path` that holds nothing."""
    parent = _at(document, path[:-1])
    return isinstance(parent, Mapping) and path[-1] in parent and parent[path[-1]] in ({}, [], None)


def without_empties(document: Any, path: tuple[str, ...]) -> Any:
    """A copy of `document` without the maps on `path` that nothing is left in: TOML does not write them."""
    for depth in range(len(path), 0, -1):
        if is_empty(document, path[:depth]):
            document = without_empty(document, path[:depth])
    return document


def _at(document: Any, path: tuple[str, ...]) -> Any:
    for depth, key in enumerate(path):
        if document is None:
            return None
        if not isinstance(document, Mapping):
            raise FormatError(f'"{".".join(path[:depth])}" is not a map of names to values')
        document = document.get(key)
    return document


def _placed(document: Any, path: tuple[str, ...], value: Any) -> Any:
    if not path:
        return value
    held = document or {}
    return {**held, path[0]: _placed(held.get(path[0]), path[1:], value)}


def _checked(found: Any, kind: type, section: Section) -> Any:
    if not isinstance(found, kind):
        wanted = "a list" if section.is_list else "a map of names to entries"
        raise FormatError(f'"{".".join(section.path)}" is not {wanted}')
    return found


def _has_name(item: Any) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get("name"), str)

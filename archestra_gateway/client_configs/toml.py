"""One table of a TOML document set or removed: a table of its own as text, what stands inline by tomlkit."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import attrs
import tomlkit
from tomlkit.exceptions import TOMLKitError

from archestra_gateway.client_configs.json_tree import FormatError

MAX_STATEMENT_LINES = 2000

_line = re.compile(r"[^\n]*\n|[^\n]+")


@attrs.frozen
class _Statement:
    """A header or a key with its value; `path` is the whole of it, from the document down."""

    path: tuple[str, ...]
    start: int
    end: int
    is_header: bool


def load(text: str) -> dict[str, Any]:
    """What the document says. Raises FormatError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FormatError(str(error)) from error
    except RecursionError as error:
        raise FormatError("it is nested too deeply") from error


def set_entry(text: str, path: tuple[str, ...], name: str, entry: dict[str, Any]) -> str:
    """`text` with the table `path.name`: in the place of an old one, otherwise at the end."""
    newline = "\r\n" if "\r\n" in text else "\n"
    table = _render((*path, name), entry).replace("\n", newline)
    regions = _regions(text, (*path, name))
    if regions and regions[0].is_header:
        return text[: regions[0].start] + table + text[regions[-1].end :]
    if regions or not _takes_tables(text, path):
        return _with_tomlkit(text, path, name, entry)
    ended = text if not text or text.endswith("\n") else text + newline
    return ended + (newline if ended.strip() else "") + table + newline


def remove_entry(text: str, path: tuple[str, ...], name: str) -> str:
    """`text` without the table `path.name`, its sub-tables, and the empty line before it."""
    regions = _regions(text, (*path, name))
    if not regions:
        return _with_tomlkit(text, path, name, None)
    for region in reversed(regions):
        start, end = region.start, _after_newline(text, region.end)
        if region.is_header:
            start = _before_empty_line(text, start)
        text = text[:start] + text[end:]
    return text


def _render(path: tuple[str, ...], entry: dict[str, Any]) -> str:
    """`[path]` and its keys; maps inside are inline tables."""
    header = ".".join(tomlkit.key(part).as_string() for part in path)
    lines = [f"{tomlkit.key(key).as_string()} = {_item(value).as_string()}" for key, value in entry.items()]
    return "\n".join([f"[{header}]", *lines])


def _item(value: Any) -> Any:
    if not isinstance(value, dict):
        return tomlkit.item(value)
    table = tomlkit.inline_table()
    table.update({key: _item(inner) for key, inner in value.items()})
    return table


def _takes_tables(text: str, path: tuple[str, ...]) -> bool:
    """Whether `[path.x]` may be added at the end of the document."""
    try:
        tomllib.loads(f"{text}\n[{'.'.join(tomlkit.key(part).as_string() for part in path)}.a_new_one_]\n")
    except tomllib.TOMLDecodeError:
        return False
    return True


def _with_tomlkit(text: str, path: tuple[str, ...], name: str, entry: dict[str, Any] | None) -> str:
    """For inline tables and dotted keys: `name` set, or removed where `entry` is None."""
    try:
        document = tomlkit.parse(text)
        held: Any = document
        for key in path:
            held = held[key]
        if entry is None:
            del held[name]
        else:
            held[name] = _item(entry)
        return tomlkit.dumps(document)
    except (TOMLKitError, KeyError, TypeError) as error:
        raise FormatError(f"it can not be changed safely ({error}); edit it by hand") from error


def _regions(text: str, path: tuple[str, ...]) -> list[_Statement]:
    """The stretches of text that make up `path` and nothing else: a header goes on to its last key."""
    regions: list[_Statement] = []
    is_inside = False
    for statement in _statements(text):
        belongs = statement.path[: len(path)] == path
        if belongs and is_inside and not statement.is_header:
            regions[-1] = attrs.evolve(regions[-1], end=statement.end)
        elif belongs:
            regions.append(statement)
        if statement.is_header:
            is_inside = belongs
    return regions


def _statements(text: str) -> Iterator[_Statement]:
    lines = _line.findall(text)
    header: tuple[str, ...] = ()
    at = index = 0
    while index < len(lines):
        count = 1
        stripped = lines[index].strip()
        if stripped and not stripped.startswith("#"):
            is_header = stripped.startswith("[")
            count = 1 if is_header else _statement_length(lines, index)
            body = "".join(lines[index : index + count])
            keys = _keys(body)
            header = keys if is_header else header
            end = at + len(body.rstrip())
            yield _Statement(keys if is_header else header + keys, at, end, is_header)
        at += sum(map(len, lines[index : index + count]))
        index += count


def _statement_length(lines: list[str], index: int) -> int:
    """How many lines the value that begins on this line takes: the first number that parses."""
    for count in range(1, min(len(lines) - index, MAX_STATEMENT_LINES) + 1):
        try:
            tomllib.loads("".join(lines[index : index + count]))
        except tomllib.TOMLDecodeError:
            continue
        return count
    raise FormatError("it has a value that is too long")


def _keys(statement: str) -> tuple[str, ...]:
    """The dotted path that one header or key stands for."""
    head = statement if statement.lstrip().startswith("[") else _key_part(statement) + "=0"
    document: Any = tomllib.loads(head)
    keys: list[str] = []
    while document and isinstance(document, dict | list):
        document = document[-1] if isinstance(document, list) else document
        if document:
            key, document = next(iter(document.items()))
            keys.append(key)
    return tuple(keys)


def _key_part(statement: str) -> str:
    """What stands before the `=` that ends the key."""
    at = statement.find("=")
    while at >= 0:
        try:
            tomllib.loads(statement[:at] + "=0")
        except tomllib.TOMLDecodeError:
            at = statement.find("=", at + 1)
        else:
            return statement[:at]
    raise FormatError("it has a key that can not be read")


def _after_newline(text: str, at: int) -> int:
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1


def _before_empty_line(text: str, start: int) -> int:
    previous = text.rfind("\n", 0, max(start - 1, 0)) + 1
    return previous if previous < start and not text[previous:start].strip() else start

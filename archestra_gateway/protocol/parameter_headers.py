"""`Mcp-Param-*`: arguments that a client of 2026-07-28 repeats as headers, and must repeat truly. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from archestra_gateway.protocol.modern import HeaderMismatch, plain_header

PREFIX = "mcp-param-"
KEY = "x-mcp-header"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_WHOLE = re.compile(r"(-?[0-9]+)(?:\.0+)?")
_TYPES = ("string", "integer", "boolean")

Values = Mapping[str, tuple[str, ...]]
"""Header name, in small letters → each value that was sent."""


@attrs.frozen
class Repeated:
    """One argument that a tool's schema wants to have as a header too."""

    path: tuple[str, ...]
    header: str
    type: str


def check(wanted: Iterable[Repeated], arguments: Any, headers: Values) -> None:
    """Raises HeaderMismatch when a header and its argument do not agree, or one of them is missing."""
    for repeated in wanted:
        said = headers.get(PREFIX + repeated.header.lower(), ())
        argument = argument_at(arguments, repeated.path)
        name = f"Mcp-Param-{repeated.header}"
        if len(said) > 1:
            raise HeaderMismatch(f"The header {name} was sent more than once")
        if bool(said) != (argument is not None):
            raise HeaderMismatch(
                f"The header {name} and the argument {'.'.join(repeated.path)} come together"
            )
        if said and not _agrees(repeated.type, plain_header(said[0]), argument):
            raise HeaderMismatch(f"The header {name} is not the argument {'.'.join(repeated.path)}")


def wanted(schema: Any) -> list[Repeated]:
    """None of them when the schema asks for something that can not be: clients do not use such a tool."""
    found = list(_walk(schema, ()))
    names = [str(header).lower() for _, header, _ in found]
    sound = [
        Repeated(path, header, kind)
        for path, header, kind in found
        if isinstance(header, str) and _TOKEN.fullmatch(header) and kind in _TYPES
    ]
    return sound if len(sound) == len(found) and len(set(names)) == len(names) else []


def _walk(schema: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    for name, inner in properties.items() if isinstance(properties, Mapping) else ():
        if isinstance(inner, Mapping):
            if KEY in inner:
                yield (*path, name), inner[KEY], inner.get("type")
            yield from _walk(inner, (*path, name))


def argument_at(arguments: Any, path: tuple[str, ...]) -> Any:
    """None when there is none."""
    for name in path:
        arguments = arguments.get(name) if isinstance(arguments, Mapping) else None
    return arguments


def _agrees(kind: str, said: str | None, argument: Any) -> bool:
    if said is None:
        return False
    if kind == "integer" and isinstance(argument, int | float) and not isinstance(argument, bool):
        whole = _WHOLE.fullmatch(said)
        return whole is not None and len(said) < 400 and int(whole[1]) == argument
    return said == (str(argument).lower() if isinstance(argument, bool) else str(argument))

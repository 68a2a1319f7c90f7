"""What a client sends, checked: bytes → JSON → attrs classes, and query strings → attrs classes."""

import re
from typing import Any, NoReturn, TypeVar

import msgspec
from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.errors import InvalidRequest, PayloadTooLarge
from archestra_gateway.web import strict

T = TypeVar("T")

_decode = msgspec.json.Decoder().decode
_OFFSET = re.compile(r" ?\(byte (\d+)\)$")


async def read(request: web.Request, cls: type[T], limit: int | None = None) -> T:
    """The JSON body as a `cls`. Raises InvalidRequest, or ValidationFailed when it does not fit."""
    data = await raw(request, request.app[keys.CONFIG].server.max_body if limit is None else limit)
    return strict.structure(parse(data), cls)


async def raw(request: web.Request, limit: int) -> bytes:
    """The body's bytes; `limit` 0 means none. Raises PayloadTooLarge at the first byte too many."""
    chunks: list[bytes] = []
    size = 0
    while chunk := await request.content.readany():
        size += len(chunk)
        if 0 < limit < size:
            raise PayloadTooLarge(
                f"The body is larger than the {limit} bytes that are taken here", limit=limit
            )
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def query(request: web.Request, cls: type[T]) -> T:
    """The query string as a `cls`. Raises ValidationFailed."""
    return strict.structure_query(request.query, cls)


def parse(data: bytes) -> Any:
    """JSON as plain values. Raises InvalidRequest that names the place."""
    if not data:
        raise InvalidRequest("The request has no body; send a JSON object")
    try:
        return _decode(data)
    except RecursionError as error:
        raise InvalidRequest("The body is nested too deeply") from error
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        _explain(data, error)


def _explain(data: bytes, error: Exception) -> NoReturn:
    """msgspec counts a string's bytes from the string's start, so UTF-8 is checked again from the body's."""
    try:
        data.decode()
    except UnicodeDecodeError as wrong:
        raise InvalidRequest(f"The body is not UTF-8 at {place(data, wrong.start)}") from error
    reason = str(error).removeprefix("JSON is malformed: ")
    if found := _OFFSET.search(reason):
        where = place(data, int(found[1]))
        raise InvalidRequest(f"The body is not valid JSON: {reason[: found.start()]} at {where}") from error
    raise InvalidRequest(
        "The body is not valid JSON: it ends in the middle, or in half a character"
    ) from error


def place(data: bytes, offset: int) -> str:
    """People count lines and characters from one."""
    before = data[:offset]
    line = before.count(b"\n") + 1
    column = len(before[before.rfind(b"\n") + 1 :].decode(errors="replace")) + 1
    return f"line {line}, column {column}"

"""A JSON answer written in one piece: aiohttp needs twice as long to put one together, and calls are many."""

from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import HttpVersion11

from archestra_gateway import keys
from archestra_gateway.web import cors

COPIED = 64 * 1024
"""A body of up to this size leaves together with its head."""

_COMMON = "".join(f"{name}: {value}\r\n" for name, value in cors.HEADERS.items())
_BEGINNINGS = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n{_COMMON}" for each in HTTPStatus}


class WholeAnswer(web.StreamResponse):
    """No hook sees it, so it brings the headers that every answer carries; those given must be safe."""

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(status=status, headers=headers)
        self.body = body

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Writes all of it."""
        self._keep_alive = request.keep_alive and request.version == HttpVersion11
        headers = dict(self.headers) if self.keep_alive else {**self.headers, "Connection": "close"}
        writer, head = request.writer, head_of(self.body, self.status, request[keys.REQUEST_ID], headers)
        for piece in pieces(head, self.body):
            await writer.write(piece)
        return writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to be written."""
        self._eof_sent = True


def pieces(head: bytes, body: bytes) -> tuple[bytes, ...]:
    return (head + body,) if len(body) <= COPIED else (head, body)


def head_of(body: bytes, status: int, request_id: str, headers: Mapping[str, str]) -> bytes:
    kind = "Content-Type: application/json\r\n" if body else ""
    given = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return (
        f"{_BEGINNINGS[status]}{given}{cors.REQUEST_ID}: {request_id}\r\nDate: {rfc822_formatted_time()}\r\n"
        f"Content-Length: {len(body)}\r\n{kind}\r\n"
    ).encode()

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
        writer, head = request.writer, self._head(request[keys.REQUEST_ID]).encode()
        if len(self.body) <= COPIED:
            await writer.write(head + self.body)
        else:
            await writer.write(head)
            await writer.write(self.body)
        return writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to be written."""
        self._eof_sent = True

    def _head(self, request_id: str) -> str:
        headers = {
            **self.headers,
            cors.REQUEST_ID: request_id,
            "Date": rfc822_formatted_time(),
            "Content-Length": len(self.body),
        }
        if self.body:
            headers["Content-Type"] = "application/json"
        if not self.keep_alive:
            headers["Connection"] = "close"
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        return f"{_BEGINNINGS[self.status]}{lines}\r\n"

"""One stream of server-sent events, from its headers to its honest end."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self, cast

import msgspec
from aiohttp import hdrs, web

from archestra_gateway import keys
from archestra_gateway.errors import GatewayError, InternalError
from archestra_gateway.web import envelope

log = logging.getLogger(__name__)

HEADERS: Mapping[str, str] = {
    hdrs.CONTENT_TYPE: "text/event-stream",
    hdrs.CACHE_CONTROL: "no-cache",
    "X-Accel-Buffering": "no",
}
KEEP_ALIVE = 15.0
COMMENT = b": \n\n"
DEAF = 20
"""How many keep-alives long a reader may take nothing, before the connection is cut."""


class EventStream:
    """`async with EventStream(request) as stream: await stream.send(…)`, then `return stream.response`.

    An exception in the block becomes a last `error` event. When the gateway stops, the block is left as if
    it had come to its end, whatever it awaits. A reader who left raises ConnectionError or CancelledError.
    `filler` is sent after each `keep_alive` seconds of silence; a block that sees the stop of the gateway
    by itself is left alone with `ends_at_stop=False`.
    """

    def __init__(
        self,
        request: web.Request,
        *,
        keep_alive: float = KEEP_ALIVE,
        headers: Mapping[str, str] | None = None,
        filler: bytes = COMMENT,
        ends_at_stop: bool = True,
    ) -> None:
        self.response = web.StreamResponse(headers={**HEADERS, **(headers or {})})
        self._request = request
        self._keep_alive = keep_alive
        self._filler = filler
        self._stopping = request.app[keys.STOPPING] if ends_at_stop else asyncio.Event()
        self._is_ended = False
        self._is_quiet = True
        self._writing_since: float | None = None

    async def __aenter__(self) -> Self:
        self._owner = cast("asyncio.Task[object]", asyncio.current_task())
        await self.response.prepare(self._request)
        self._watcher = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self._watcher.cancel()
        if self._is_ended and self._owner.uncancel() == 0 and isinstance(error, asyncio.CancelledError):
            error = None
        if error is not None and not isinstance(error, Exception):
            return False
        if envelope.is_gone(self._request):
            return error is None or isinstance(error, ConnectionError)
        with contextlib.suppress(ConnectionError):
            if error is not None:
                await self._write(event(msgspec.json.encode(_seen(error).body()), "error"))
            await self.response.write_eof()
        return True

    async def send(
        self, data: bytes | str, event_type: str | None = None, event_id: str | None = None
    ) -> None:
        await self._write(event(data, event_type, event_id))

    async def send_block(self, block: bytes) -> None:
        """Events that are bytes already."""
        await self._write(block)

    async def comment(self, text: str = "") -> None:
        """What readers skip, and what keeps a connection open on its way."""
        await self._write(f": {text}\n\n".encode())

    async def _write(self, block: bytes) -> None:
        self._is_quiet = False
        self._writing_since = time.monotonic()
        await self.response.write(block)
        self._writing_since = None

    async def _watch(self) -> None:
        """Fill long silences; leave the block when the gateway stops, and the reader who does not read."""
        while True:
            self._is_quiet = True
            try:
                async with asyncio.timeout(self._keep_alive):
                    await self._stopping.wait()
            except TimeoutError:
                if self._writing_since is not None:
                    self._cut_when_deaf(self._writing_since)
                elif self._is_quiet and not await self._kept_alive():
                    return
            else:
                self._is_ended = True
                self._owner.cancel()
                return

    async def _kept_alive(self) -> bool:
        try:
            async with asyncio.timeout(DEAF * self._keep_alive):
                await self._write(self._filler)
        except TimeoutError:
            self._cut()
            return False
        except ConnectionError:
            return False
        return True

    def _cut_when_deaf(self, since: float) -> None:
        if time.monotonic() - since > DEAF * self._keep_alive:
            self._cut()

    def _cut(self) -> None:
        """The block hears of it as of a reader who left."""
        if self._request.transport is not None:
            self._request.transport.abort()


def event(data: bytes | str, event_type: str | None = None, event_id: str | None = None) -> bytes:
    """One event as bytes; every line of the data has its own `data:` (WHATWG HTML §9.2)."""
    raw = data.encode() if isinstance(data, str) else data
    if b"\n" in raw or b"\r" in raw:
        raw = b"\ndata: ".join(raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"))
    head = b""
    if event_type is not None:
        head += b"event: %b\n" % event_type.encode()
    if event_id is not None:
        head += b"id: %b\n" % event_id.encode()
    return b"%bdata: %b\n\n" % (head, raw)


def _seen(error: Exception) -> GatewayError:
    """What the client may see of it; what it may not is logged whole."""
    if isinstance(error, GatewayError):
        return error
    log.error("A stream failed", exc_info=error)
    return InternalError()

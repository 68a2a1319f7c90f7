"""One HTTP/1.1 connection to an upstream: bytes to answers, flow control both ways."""

import asyncio
import math
from collections.abc import Callable
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from archestra_gateway.errors import UpstreamError
from archestra_gateway.upstreams.origin import Origin, StreamedBody
from archestra_gateway.upstreams.response import MAX_HEAD, Response

HIGH_WATER = 64 * 1024


class Connection(asyncio.Protocol):
    """Carries one exchange at a time. `idle` is called when it may carry the next, `lost` when it is gone."""

    def __init__(
        self, origin: Origin, idle: Callable[["Connection"], None], lost: Callable[["Connection"], None]
    ) -> None:
        self.origin = origin
        self.heard_at = 0.0
        self.has_answered = False
        self._idle = idle
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._parser: HttpResponseParser | None = None
        self._response: Response | None = None
        self._silent = 0
        self._is_paused = False
        self._is_sending = False
        self._drained: asyncio.Future[None] | None = None

    @property
    def is_open(self) -> bool:
        return not self._transport.is_closing()

    def send(self, method: str, data: bytes) -> Response:
        """Write a head (and perhaps the whole body); the answer's head is to be awaited."""
        response = self._response = Response(self, method)
        self._parser = HttpResponseParser(response)
        self._silent = 0
        self.has_answered = False
        self.heard_at = self._loop.time()
        if self.is_open:
            self._transport.write(data)
        else:
            response.closed(None, self.origin)
        return response

    async def upload(self, body: StreamedBody) -> None:
        """Send a body as it comes, no faster than the upstream reads; if it breaks, so does the exchange."""
        self._is_sending = True
        try:
            while (chunk := await self._next(body)) is not None:
                if not self.is_open:
                    return
                self._transport.write(
                    chunk if body.length is not None else b"%x\r\n%b\r\n" % (len(chunk), chunk)
                )
                if self._drained is not None:
                    await self._drained
            if body.length is None:
                self._transport.write(b"0\r\n\r\n")
            self._is_sending = False
        except Exception as error:
            self.abort(error)

    async def _next(self, body: StreamedBody) -> bytes | None:
        self.heard_at = math.inf  # it is the client who is waited for
        try:
            return await anext(body.chunks, None)
        finally:
            self.heard_at = self._loop.time()

    def release(self) -> None:
        """The exchange is over, at its end or before it."""
        response, self._response, self._parser = self._response, None, None
        if response is None:
            return
        if response.is_complete and response.keep_alive and not self._is_sending and self.is_open:
            self.resume_reading()
            self.heard_at = self._loop.time()
            self._idle(self)
        else:
            self._transport.abort()

    def abort(self, error: Exception) -> None:
        """Cut the connection; whoever reads the answer gets `error`."""
        if self._response is not None:
            self._response.fail(error)
        self._transport.abort()

    def has_been_silent(self, now: float, seconds: float) -> bool:
        """Whether the upstream owes us a byte for longer than that."""
        response = self._response
        waits = response is not None and not response.is_complete and not self._is_paused
        return waits and now - self.heard_at > seconds

    def is_idle_since(self, now: float, seconds: float) -> bool:
        return self._response is None and now - self.heard_at > seconds

    def resume_reading(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self.heard_at = self._loop.time()
            self._transport.resume_reading()

    def parsed_status(self) -> int:
        return cast(HttpResponseParser, self._parser).get_status_code()

    def parsed_keep_alive(self) -> bool:
        return cast(HttpResponseParser, self._parser).should_keep_alive()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        response, parser = self._response, self._parser
        if response is None or parser is None:  # nobody asked: never let it become somebody's answer
            self._transport.abort()
            return
        self.has_answered = True
        self.heard_at = self._loop.time()
        before = response.buffered
        try:
            parser.feed_data(data)
        except HttpParserUpgrade:
            self.abort(UpstreamError(f"{self.origin} wants to change the protocol, which was not asked for"))
        except HttpParserError as error:
            response.keep_alive = False
            self.abort(UpstreamError(f"{self.origin} does not answer in HTTP/1.1: {error}"))
        self._account(response, len(data), response.buffered - before)

    def _account(self, response: Response, size: int, gained: int) -> None:
        """Wake the reader; hold an upstream that is too fast; cut one that sends no end of headers."""
        if gained or response.is_complete:
            self._silent = 0
        else:
            self._silent += size
            if self._silent > MAX_HEAD:
                self.abort(UpstreamError(f"{self.origin} sends headers of more than {MAX_HEAD} bytes"))
        response.wake()
        if response.buffered >= HIGH_WATER and not self._is_paused and not response.is_complete:
            self._is_paused = True
            self._transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        if self._response is not None:
            self._response.closed(error, self.origin)
        self.resume_writing()
        self._lost(self)

    def pause_writing(self) -> None:
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

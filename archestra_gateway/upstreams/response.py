"""One answer of an HTTP upstream: its head, then its body in chunks as they come."""

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from archestra_gateway.errors import UpstreamError

if TYPE_CHECKING:
    from archestra_gateway.upstreams.connection import Connection

BODILESS = frozenset({204, 304})
MAX_HEAD = 64 * 1024
FRAMING = frozenset({"content-length", "transfer-encoding"})


class Response:
    """`async with` gives the connection back: to the pool when the answer came to its end, else it is cut.

    The `on_…` methods are called by httptools while the connection feeds it.
    """

    __slots__ = (
        "_chunks",
        "_has_framing",
        "_head_size",
        "_method",
        "_waiter",
        "buffered",
        "connection",
        "error",
        "has_head",
        "headers",
        "is_complete",
        "keep_alive",
        "reason",
        "status",
        "upload",
    )

    def __init__(self, connection: "Connection", method: str) -> None:
        self.connection = connection
        self.status = 0
        self.reason = ""
        self.headers: list[tuple[str, str]] = []
        self.has_head = False
        self.is_complete = False
        self.keep_alive = False
        self.error: Exception | None = None
        self.buffered = 0
        self.upload: asyncio.Task[None] | None = None
        self._method = method
        self._has_framing = False
        self._head_size = 0
        self._chunks: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.upload is not None:
                await stop(self.upload)
        finally:
            self.connection.release()

    @property
    def content_length(self) -> int | None:
        """As declared; of an answer to HEAD or a 304 too."""
        lengths = (value for name, value in self.headers if name.lower() == "content-length")
        return next((int(value) for value in lengths if value.isdecimal()), None)

    async def head(self) -> None:
        """Wait for status and headers."""
        while not self.has_head:
            if self.error is not None:
                raise self.error
            await self._wait()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """What has come since the last call, in one piece."""
        while not self._chunks:
            if self.error is not None:
                raise self.error
            if self.is_complete:
                raise StopAsyncIteration
            await self._wait()
        return self.take()

    def take(self) -> bytes:
        """What is here already, without waiting."""
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self.buffered = 0
        self.connection.resume_reading()
        return data

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def wake(self) -> None:
        """Something changed: let the reader look."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def fail(self, error: Exception) -> None:
        """The end that was not one. What came before it can still be read."""
        if not self.is_complete and self.error is None:
            self.error = error
            self.wake()

    def closed(self, error: Exception | None, place: object) -> None:
        """The connection is gone: an end only for a body that nothing else delimits (RFC 9112 §6.3)."""
        if self.has_head and not self._has_framing and error is None:
            self.is_complete = True
            self.wake()
        else:
            self.fail(UpstreamError(f"{place} closed the connection before its answer was complete"))

    def on_message_begin(self) -> None:
        if self.is_complete:
            self.keep_alive = False

    def on_status(self, reason: bytes) -> None:
        if not self.has_head:
            self.reason += reason.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:
            self._head_size += len(name) + len(value)
            self.headers.append((name.decode("latin-1"), _text(value)))

    def on_headers_complete(self) -> None:
        if self.has_head:
            return
        self.status = self.connection.parsed_status()
        if self.status < 200:
            return
        if self._head_size > MAX_HEAD:
            self.fail(UpstreamError(f"The upstream sends headers of more than {MAX_HEAD} bytes"))
            return
        framing = [(name, value) for name, value in self.headers if name.lower() in FRAMING]
        if any(name.lower() == "transfer-encoding" and value.lower() != "chunked" for name, value in framing):
            self.fail(UpstreamError("The upstream uses a transfer encoding other than chunked"))
            return
        self._has_framing = bool(framing)
        self.has_head = True
        if self._method == "HEAD" or self.status in BODILESS:
            self._complete()

    def on_body(self, chunk: bytes) -> None:
        if self.is_complete:
            self.keep_alive = False
        else:
            self._chunks.append(chunk)
            self.buffered += len(chunk)

    def on_message_complete(self) -> None:
        if self.has_head:
            if not self.is_complete:
                self._complete()
        else:
            self.headers.clear()
            self.reason = ""

    def _complete(self) -> None:
        self.is_complete = True
        self.keep_alive = self.connection.parsed_keep_alive()


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


async def stop(task: "asyncio.Task[None]") -> None:
    """Cancel a task of ours and see it end."""
    task.cancel()
    await asyncio.wait((task,))

"""One HTTP request to the daemon, whose answer may be read by another thread than sent it."""

import contextlib
import socket
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from types import TracebackType
from typing import Self

from archestra_gateway.protocol.sse import Events

CHUNK = 64 * 1024
LONGEST_EVENT = 256 * 1024 * 1024
BROKEN = (OSError, HTTPException, ValueError)
"""What reading raises when the daemon ends in the middle, or answers something that is not HTTP."""


class Exchange:
    """Sent when it is made. Closes the connection at its end."""

    def __init__(
        self,
        connection: HTTPConnection,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> None:
        self.is_cancelled = False
        self._connection = connection
        self._socket: socket.socket = connection.sock
        self._response: HTTPResponse | None = None
        connection.request(method, path, body, dict(headers))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        if self._response is not None:
            self._response.close()

    @property
    def response(self) -> HTTPResponse:
        """Waits for the head of the answer. Raises what is in BROKEN."""
        if self._response is None:
            self._response = self._connection.getresponse()
        return self._response

    def messages(self) -> Iterator[bytes]:
        """The messages of the answer, JSON or a stream of events. Raises what is in BROKEN."""
        if not self.response.headers.get("Content-Type", "").startswith("text/event-stream"):
            if text := self.response.read().strip():
                yield text
            return
        events = Events(LONGEST_EVENT)
        while chunk := self.response.read1(CHUNK):
            yield from filter(None, events.feed(chunk))

    def cancel(self) -> None:
        """Whoever reads the answer sees its end now."""
        self.is_cancelled = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

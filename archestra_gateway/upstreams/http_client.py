"""Requests to HTTP upstreams: connects, keeps connections for the next request, and watches the clock."""

import asyncio
import ssl
from functools import cached_property

from archestra_gateway.errors import UpstreamError, UpstreamTimeout, UpstreamUnavailable
from archestra_gateway.upstreams.connection import Connection
from archestra_gateway.upstreams.origin import Headers, Origin, StreamedBody, request_head
from archestra_gateway.upstreams.response import Response, stop

IDLE_SECONDS = 30.0
IDLE_PER_ORIGIN = 256


class HttpClient:
    """`async with await client.send("GET", origin, "/", (), b"") as response: async for chunk in response: …`

    Raises UpstreamUnavailable, UpstreamTimeout or UpstreamError; the same may come while the body is read.
    """

    def __init__(self, connect_timeout: float, read_timeout: float) -> None:
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._idle: dict[Origin, list[Connection]] = {}
        self._connections: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self.is_closed = False

    async def send(
        self, method: str, origin: Origin, target: str, headers: Headers, body: bytes | StreamedBody
    ) -> Response:
        """The answer, as soon as its head is here."""
        head = request_head(origin, method, target, headers, body)
        if isinstance(body, StreamedBody):
            return await self._send_streamed(method, origin, head, body)
        data = head + body
        if (pooled := self._take(origin)) is not None:
            response = pooled.send(method, data)
            if await _headed(response, may_be_stale=True):
                return response
        response = (await self._connect(origin)).send(method, data)
        await _headed(response)
        return response

    async def _send_streamed(self, method: str, origin: Origin, head: bytes, body: StreamedBody) -> Response:
        """On a fresh connection, since a body that was sent once can not be sent again."""
        connection = await self._connect(origin)
        response = connection.send(method, head)
        response.upload = asyncio.create_task(connection.upload(body))
        try:
            await _headed(response)
        except BaseException:
            await stop(response.upload)
            raise
        return response

    def close(self) -> None:
        """Cut every connection: streams that run break, and are seen to break."""
        self.is_closed = True
        for connection in list(self._connections):
            connection.abort(UpstreamUnavailable("The gateway is stopping"))

    def _take(self, origin: Origin) -> Connection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.is_open:
                return connection
        return None

    def _keep(self, connection: Connection) -> None:
        idle = self._idle.setdefault(connection.origin, [])
        idle.append(connection)
        if len(idle) > IDLE_PER_ORIGIN:
            idle.pop(0).abort(UpstreamError("Not needed any more"))

    def _forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        idle = self._idle.get(connection.origin, [])
        if connection in idle:
            idle.remove(connection)

    async def _connect(self, origin: Origin) -> Connection:
        if self.is_closed:
            raise UpstreamUnavailable("The gateway is stopping")
        loop = asyncio.get_running_loop()
        secure = self._tls if origin.scheme == "https" else None

        def make() -> Connection:
            return Connection(origin, self._keep, self._forget)

        try:
            async with asyncio.timeout(self._connect_timeout):
                if origin.socket:
                    _, connection = await loop.create_unix_connection(make, origin.socket)
                else:
                    _, connection = await loop.create_connection(make, origin.host, origin.port, ssl=secure)
        except TimeoutError as error:
            raise UpstreamTimeout(f"{origin} did not accept a connection in time") from error
        except ssl.SSLError as error:
            raise UpstreamError(f"{origin} has no TLS that can be trusted: {error}") from error
        except OSError as error:
            raise UpstreamUnavailable(f"{origin} can not be reached: {error.strerror or error}") from error
        if connection.is_open:
            self._connections.add(connection)
        self._watch()
        return connection

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def _watch(self) -> None:
        """One timer for all connections, so that a request need not set its own."""
        if self._sweeper is None and self._connections:
            seconds = min(1.0, self._read_timeout / 4)
            self._sweeper = asyncio.get_running_loop().call_later(seconds, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        now = asyncio.get_running_loop().time()
        for connection in list(self._connections):
            if connection.has_been_silent(now, self._read_timeout):
                connection.abort(
                    UpstreamTimeout(f"{connection.origin} sent nothing for {self._read_timeout:g} seconds")
                )
            elif connection.is_idle_since(now, IDLE_SECONDS):
                connection.abort(UpstreamError("Not needed any more"))
        self._watch()


async def _headed(response: Response, may_be_stale: bool = False) -> bool:
    """Wait for the head. False when a kept connection was closed by the other side before a byte came."""
    try:
        await response.head()
    except UpstreamError:
        response.connection.release()
        if may_be_stale and not response.connection.has_answered:
            return False
        raise
    except BaseException:
        response.connection.release()
        raise
    return True

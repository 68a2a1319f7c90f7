"""One client's connection, and the runner that accepts them: what aiohttp leaves open is closed here."""

import asyncio
import contextlib
import logging
import resource
from collections.abc import Callable
from typing import Any, cast

from aiohttp import web
from aiohttp.helpers import set_exception
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from archestra_gateway import config, keys
from archestra_gateway.errors import GatewayError, InternalError, InvalidRequest
from archestra_gateway.web import cors, envelope, peer
from archestra_gateway.web.shortcut import Begun, Shortcut

log = logging.getLogger(__name__)

KEEP_ALIVE = 75.0
"""Seconds that an idle connection stays open; longer than the pools of browsers and SDKs keep theirs."""
SOON = 0.5
"""Seconds that a request has for the shortcut, give or take the time between two sweeps."""
LINGER = 2.0
"""Seconds that the rest of a refused body is thrown away, so that the refusal is not lost with a reset."""
SPARE_FILES = 24
"""Descriptors kept from the clients: the database, listening sockets, the loop, a few children's pipes."""
SILENCE = 60.0
"""Seconds between two complaints about a shortage of files: one each time would fill the disk."""


class Connection(RequestHandler):
    """aiohttp's connection with time limits, errors in the envelope, and a memory of who is there.

    While `on_leave` is set, a client that leaves cancels nothing: it is called instead.
    """

    __slots__ = ("_another_user", "_head_since", "_heard", "local_port", "on_leave", "shortcut")

    def __init__(self, manager: "Server", **options: Any) -> None:
        super().__init__(manager, **options)
        self._another_user: bool | None = None
        self._heard = self._loop.time()
        self._head_since: float | None = self._heard
        self.local_port = 0
        self.on_leave: Callable[[], None] | None = None
        self.shortcut = Shortcut()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        sockname = transport.get_extra_info("sockname")
        self.local_port = sockname[1] if isinstance(sockname, tuple) else 0
        server = cast(Server, self._manager)
        if not server.has_room():
            server.say_full()
            self.force_close()
            cast(asyncio.Transport, transport).abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._see_through(self.shortcut.lost())
        if self.on_leave is not None and self._task_handler is not None:
            self.on_leave()
            cast(Server, self._manager).see_through(self._task_handler)
            self._task_handler = None  # what aiohttp does not find it does not cancel
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        if data:
            data = self.shortcut.take(data, self._is_idle())
            if not data:
                return
        self._receive(data)

    def hand_over(self) -> None:
        """What was begun on the shortcut, or waits there, is aiohttp's now."""
        if data := self.shortcut.give_up():
            self._receive(data)

    def write(self, data: bytes) -> None:
        """To a client that may be gone."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def close(self) -> None:
        self.hand_over()
        super().close()

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        self.hand_over()
        await super().shutdown(timeout)

    def _see_through(self, begun: Begun | None) -> None:
        """What no handler answers."""
        if begun is not None:
            cast(Server, self._manager).see_through(self._loop.create_task(begun.see_through()))

    def _is_idle(self) -> bool:
        waiter, transport = self._waiter, self.transport
        is_free = waiter is not None and not waiter.done() and not self._close and not self._force_close
        return is_free and transport is not None and transport.get_write_buffer_size() == 0

    def _receive(self, data: bytes) -> None:
        super().data_received(data)
        if not self._awaits_head():
            self._head_since = None
        elif data and self._head_since is None:
            self._head_since = self._heard

    def is_another_user(self) -> bool:
        """Asked of the kernel once a connection."""
        if self._another_user is None:
            self._another_user = peer.is_another_user(self.peername[:2], self.sockname[:2])  # type: ignore[index,arg-type]
        return self._another_user

    def listening(self) -> list[str]:
        """`host:port` of every socket that the gateway listens on."""
        return cast(Server, self._manager).listening()

    def cut_when_slow(self, now: float, limits: config.ServerConfig) -> None:
        """End a head that takes too long, fail a body of which nothing more comes, leave a long shortcut."""
        if self.transport is None:
            return
        self._next_keepalive_close_time = max(self._next_keepalive_close_time, self._heard + KEEP_ALIVE)
        if now - self._heard > SOON:
            self.hand_over()
        if self._head_since is not None and now - self._head_since > limits.header_timeout:
            if self._awaits_head():
                self.transport.abort()
        elif now - self._heard > limits.body_timeout:
            self._fail_body(limits.body_timeout)

    def _awaits_head(self) -> bool:
        return self._current_request is None and not self._messages and not self._upgraded

    def _fail_body(self, seconds: float) -> None:
        """The handler that waits for the body gets the error, so that the client still gets an envelope."""
        request = self._current_request
        if request is None or request.content.is_eof() or request.content._waiter is None:
            return
        error = InvalidRequest(f"The rest of the request's body did not come within {seconds:g} seconds")
        set_exception(request.content, error)
        request.content.feed_eof()
        self.close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What went wrong before our middlewares or in spite of them; no hook sets headers here."""
        if request.writer.output_size > 0:
            raise ConnectionResetError("The answer had begun when an error came")
        error: GatewayError
        if isinstance(exc, HttpProcessingError):
            error = InvalidRequest(f"This is not an HTTP request: {_first_line(message)}")
        else:
            log.error("%s failed outside the app", request, exc_info=exc)
            error = InternalError()
        answer = envelope.refusal(error)
        answer.headers.update(cors.HEADERS)
        answer.headers[cors.REQUEST_ID] = envelope.new_request_id()
        answer.force_close()
        return answer

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """An unknown `Expect` on an unknown path is refused before any middleware."""
        self.shortcut.learn(request)
        self._see_through(self.shortcut.found())
        if isinstance(resp, web.HTTPException) and resp.status >= 400:
            resp = envelope.refusal(envelope.translated(resp, request), status=resp.status)
        return await super().finish_response(request, resp, start_time)


def _first_line(message: str | None) -> str:
    lines = [line.strip() for line in (message or "").splitlines()]
    return next((line.rstrip(":") for line in lines if line), "it can not be parsed")


class Server(web.Server):
    """Makes our connections, and keeps them below what the process may open."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._limit = connection_limit(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self._silent_until = 0.0
        self._left: set[asyncio.Task[None]] = set()
        self.listening: Callable[[], list[str]] = list

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)

    def see_through(self, task: asyncio.Task[None]) -> None:
        """It goes on without its client, until the server stops."""
        self._left.add(task)
        task.add_done_callback(self._left.discard)

    async def shutdown(self, timeout: float | None = None) -> None:
        await super().shutdown(timeout)
        for task in self._left:
            task.cancel()
        await asyncio.gather(*self._left, return_exceptions=True)

    def has_room(self) -> bool:
        return len(self._connections) <= self._limit

    def say_full(self) -> None:
        if self._loop.time() >= self._silent_until:
            self._silent_until = self._loop.time() + SILENCE
            log.warning(
                "%d clients are connected and no more files may be opened: new clients are turned away. "
                "Close some, or raise `ulimit -n`",
                len(self._connections),
            )

    def on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """asyncio pauses for a second when it can not accept, and reports every waiting client."""
        if "out of system resource" in context.get("message", ""):
            self.say_full()
        else:
            loop.default_exception_handler(context)

    def cut_slow(self, limits: config.ServerConfig) -> None:
        now = self._loop.time()
        for connection in self.connections:
            cast(Connection, connection).cut_when_slow(now, limits)


def connection_limit(files: int) -> int:
    """How many clients may be connected when the process may open `files` files."""
    return max(files - max(SPARE_FILES, files // 4), 1)


class Runner(web.AppRunner):
    """Serves an app of ours; every site (TCPSite, SockSite) is added as to aiohttp's own runner."""

    def __init__(self, app: web.Application) -> None:
        self._limits = app[keys.CONFIG].server
        self._sweeper: asyncio.Task[None] | None = None
        super().__init__(
            app,
            access_log=None,
            auto_decompress=False,
            handler_cancellation=True,
            keepalive_timeout=KEEP_ALIVE,
            lingering_time=LINGER,
            shutdown_timeout=self._limits.shutdown_timeout,
        )

    async def setup(self) -> None:
        await super().setup()
        loop = asyncio.get_running_loop()
        server = cast(Server, self.server)
        loop.set_exception_handler(server.on_loop_error)
        self._sweeper = loop.create_task(self._cut_slow(server))

    async def cleanup(self) -> None:
        try:
            await super().cleanup()
        finally:
            if self._sweeper is not None:  # None when the setup failed
                self._sweeper.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._sweeper

    async def _make_server(self) -> Server:
        plain = await super()._make_server()
        server = Server(
            plain.request_handler,
            request_factory=plain.request_factory,
            handler_cancellation=plain.handler_cancellation,
            loop=plain._loop,
            **plain._kwargs,
        )
        server.listening = self.listening
        return server

    def listening(self) -> list[str]:
        return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port, *_ in self.addresses]

    async def _cut_slow(self, server: Server) -> None:
        """One sweep over all connections costs less than a timer that every request sets and clears."""
        limits = self._limits
        pause = min(limits.header_timeout, limits.body_timeout, 10.0) / 10
        while True:
            await asyncio.sleep(pause)
            server.cut_slow(limits)

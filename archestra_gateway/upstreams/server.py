"""One configured MCP server while the daemon runs: its upstreams, and how it is doing."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Literal

from msgspec import Raw

from archestra_gateway import timestamp
from archestra_gateway.errors import (
    GatewayError,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from archestra_gateway.protocol import jsonrpc, mcp, modern
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.protocol.parameters import Parameters
from archestra_gateway.sandbox.egress_gate import DenialList
from archestra_gateway.sandbox.grants import Wish
from archestra_gateway.schemas.mcp_server import HttpConfig, McpServerStatus, ServerConfig
from archestra_gateway.schemas.permissions import Permissions
from archestra_gateway.upstreams.dialogue import Audience, Call, Dialogue, Listener
from archestra_gateway.upstreams.era import Era
from archestra_gateway.upstreams.health import Health
from archestra_gateway.upstreams.http_requests import Requests
from archestra_gateway.upstreams.modern import Modern
from archestra_gateway.upstreams.pins import Pins, abilities
from archestra_gateway.upstreams.pool import Lease, Pool
from archestra_gateway.upstreams.remote import Remote, Spoken
from archestra_gateway.upstreams.stderr import Stderr
from archestra_gateway.upstreams.stdio import Child
from archestra_gateway.upstreams.tool_gate import ToolGate
from archestra_gateway.upstreams.tools import error_text
from archestra_gateway.upstreams.unanswered import audience
from archestra_gateway.upstreams.upstream import Upstream
from archestra_gateway.upstreams.watched import Watched

LONG_LIFE = 10.0
COUNTING = 5.0

Listen = Callable[[Dialogue], Audience]
"""Who hears an upstream, given the dialogue with it."""

Prepare = Callable[[ServerConfig], Awaitable[ServerConfig]]
"""Puts secrets in place of their names, at the last moment."""

Watcher = Callable[[str, Message | None], object]
"""Gets the server's name and what it says about itself; None: it has started."""


class Server:
    """Started by the first call; `listeners` are its sessions, which hear what it says about itself."""

    def __init__(
        self, name: str, config: ServerConfig, pool: Pool, permissions: Permissions | None = None
    ) -> None:
        self.name = name
        self.config = config
        self.limits = pool.limits
        self.permissions = permissions or Permissions()
        self.denials = DenialList(name)
        self.is_enabled = True
        self.stderr = Stderr(pool.limits.stderr_lines, pool.clean)
        self.listeners: set[Listener] = set()
        self.prepare: Prepare = _as_it_is
        self.authorization = pool.authorize(name)
        self.watchers: list[Watcher] = []
        self.on_state: Callable[[str], object] = lambda name: None
        self.initialized: Raw | None = None
        self.era = Era()
        self._parameters: Parameters | None = None
        self._pool = pool
        self._shared: Upstream | None = None
        self._starting: asyncio.Task[Upstream] | None = None
        self._counting: asyncio.Task[None] | None = None
        self._starts = 0
        self._health = Health(name, self._note_state)
        self._spoken: Spoken | None = None
        self.is_learning = False
        self._version: str | None = None
        self._looks: set[asyncio.Task[None]] = set()
        self.watched = Watched(self.shared, lambda: self._shared)
        self.pins = Pins(trusts_changes=self.permissions.tool_changes == "accept")

    async def shared(self) -> Upstream:
        """The upstream of calls without a session; who comes while it starts waits for the same start."""
        shared = self._shared
        if shared is not None and not shared.has_ended:
            return shared
        self._refuse_when_stopped()
        if self._starting is None:
            self._starting = self._pool.begin(self._start())
            self._starting.add_done_callback(self._has_started)
        starting = self._starting
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError as error:
            if not starting.cancelled():
                raise
            raise UpstreamUnavailable(
                f"The MCP server {self.name} was stopped while it started", name=self.name
            ) from error

    @property
    def is_running(self) -> bool:
        """Whether calls without a session need no start."""
        return self._shared is not None and not self._shared.has_ended

    async def open_session(
        self, call: Call, on_message: Audience, on_end: Callable[[], None]
    ) -> tuple[Lease, Message]:
        """An upstream of one's own, initialized by the client's `call`, and its answer to that."""
        self._refuse_when_stopped()
        return await self._open(call, lambda dialogue: on_message, on_end, is_session=True)

    async def close_session(self, lease: Lease) -> None:
        await self._pool.end([lease])

    async def start(self) -> None:
        """By a person's order: what went wrong before is forgotten."""
        self._health.forgive()
        await self.shared()
        if self._counting is not None:
            await asyncio.wait([self._counting], timeout=COUNTING)

    async def stop(self) -> None:
        """Everything of it, sessions included."""
        await self._pool.finish(self._stop())

    async def _stop(self) -> None:
        running = [task for task in (self._starting, *self._looks) if task is not None]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        await self._pool.end(self._pool.of(self.name))
        self._note_state()

    async def change(self, config: ServerConfig, permissions: Permissions, *, is_enabled: bool) -> None:
        """What runs is ended; what ran is started again, unless it is to be stopped."""
        was_running = self._shared is not None
        self.config, self.permissions, self.is_enabled = config, permissions, is_enabled
        self.pins.trusts_changes = permissions.tool_changes == "accept"
        if self.pins.trusts_changes:
            await self.pins.accept([*self.pins.held, *self.pins.gone])
        await self.stop()
        self._spoken = None
        self.era, self._parameters = Era(), None
        self._health.forget()
        if was_running and is_enabled:
            with contextlib.suppress(GatewayError):  # the status shows it
                await self.shared()

    async def tools(self) -> list[dict[str, Any]]:
        """Those that are not held back."""
        gate = (await self.shared()).dialogue.gate
        tools = [] if gate is None else [jsonrpc.value(tool) for tool in await gate.tools()]
        self._parameters = Parameters()
        self._parameters.take(tools)
        return tools

    async def parameters(self) -> Parameters:
        """Which arguments its tools want to have as headers too."""
        if self._parameters is None:
            try:
                await self.tools()
            except UpstreamError:
                self._parameters = Parameters()  # it has no tools
        return self._parameters or Parameters()

    async def repeated(self, message: Message, is_wrong: bool = False) -> Mapping[str, str]:
        """The `Mcp-Param-*` of a call over HTTP; `is_wrong` when those given before were."""
        if not isinstance(self.config, HttpConfig) or mcp.method(message) != "tools/call":
            return {}
        if is_wrong:
            self._parameters = None
        return (await self.parameters()).headers_for(message)

    def broadcast(self, message: Message) -> None:
        """What a server says about itself reaches all of its clients, whichever process of it said so."""
        if message["method"] == _TOOLS_CHANGED:
            self._parameters = None
        for listener in list(self.listeners):
            listener(message)
        self._tell_watchers(message)

    def status(self) -> McpServerStatus:
        mine = [lease.upstream for lease in self._pool.of(self.name)]
        self._note_state()
        health = self._health
        return McpServerStatus(
            state=health.state,
            since=timestamp.from_seconds(health.since),
            authorization=self.authorization.shown(),
            pid=next((upstream.pid for upstream in mine if upstream.pid), None),
            restarts=max(0, self._starts - 1),
            last_error=health.error.message if health.error else None,
            next_try_at=None if health.next_try is None else timestamp.from_seconds(health.next_try),
            transport=self._transport(),
            protocol_version=self._version,
            tool_count=self.pins.count,
            held_tools=len(self.pins.held),
            sessions=len(self.listeners),
            sandbox=mine[0].sandbox if mine else None,
        )

    def _note_state(self) -> None:
        state = self._health.state_of(
            self.authorization.shown(),
            is_running=bool(self._pool.of(self.name)),
            is_starting=self._starting is not None,
            is_remote=isinstance(self.config, HttpConfig),
        )
        if self._health.note(state):
            self.on_state(self.name)

    async def _start(self) -> Upstream:
        call = Call(jsonrpc.request(0, mcp.INITIALIZE, mcp.INITIALIZE_PARAMS), is_own=True)
        lease, answer = await self._open(
            call, partial(audience, self.broadcast), self._forget_shared, is_session=False
        )
        upstream = lease.upstream
        if "result" not in answer:
            await self._pool.end([lease])
            raise self._health.could_not_start(
                UpstreamError(
                    f"The MCP server {self.name} refused to initialize: {error_text(answer)}", name=self.name
                )
            )
        await upstream.send(jsonrpc.notification(mcp.INITIALIZED))
        self._shared = upstream
        self._starts += 1
        self.initialized = answer["result"]
        if upstream.dialogue.gate is not None:
            self._counting = self._spawn(upstream.dialogue.gate.look())
        if self.watched:
            self._spawn(self.watched.again(upstream))
        self._tell_watchers(None)
        return upstream

    def _has_started(self, task: asyncio.Task[Upstream]) -> None:
        self._starting = None
        if not task.cancelled():
            task.exception()  # those who waited have it

    async def _open(
        self, call: Call, listen: Listen, on_end: Callable[[], None], *, is_session: bool
    ) -> tuple[Lease, Message]:
        is_child = not isinstance(self.config, HttpConfig)
        try:
            await asyncio.sleep(self._health.check())
            async with self._pool.room(for_child=is_child, for_session=is_session):
                upstream, answer = await self._open_initialized(call, listen)
                seen_by = abilities(mcp.member(call.message.get("params"), "capabilities"))
                upstream.dialogue.gate = ToolGate(self.name, self.pins, upstream, seen_by, self._spawn)
                watched = self.watched if not is_session else ()
                lease = Lease(self.name, upstream, on_end, is_session, watched)
                self._pool.leases.append(lease)
        except GatewayError as error:
            raise self._health.could_not_start(error) from error.__cause__
        self._health.started()
        version = mcp.member(answer.get("result"), "protocolVersion")
        spoken = modern.VERSION if isinstance(upstream, Modern) else version
        self._version = spoken if isinstance(spoken, str) else None
        return lease, answer

    async def _open_initialized(self, call: Call, listen: Listen) -> tuple[Upstream, Message]:
        seconds = self._pool.limits.start_timeout
        upstream = await self._connect()
        upstream.dialogue.on_message = listen(upstream.dialogue)
        try:
            async with asyncio.timeout(seconds):
                opened = await self.era.open(upstream, call, self.name, self.repeated)
        except (TimeoutError, UpstreamTimeout) as error:
            if isinstance(upstream, Child):
                self._health.backoff.died(time.monotonic())
            await upstream.stop()
            raise UpstreamTimeout(
                f"The MCP server {self.name} did not answer `initialize` within {seconds:g} seconds",
                name=self.name,
                stderr=self.stderr.last(5),
            ) from error
        except BaseException:
            await asyncio.shield(upstream.stop())
            raise
        if isinstance(upstream, Remote):
            self._spoken = upstream.spoken
        return opened

    async def _connect(self) -> Upstream:
        pool, config = self._pool, await self.prepare(self.config)
        if isinstance(config, HttpConfig):
            requests = Requests(
                self.name, config, pool.limits.max_message, pool.http, self.authorization, self._health
            )
            return Remote(pool.limits, requests, self._spoken, partial(self._tell_watchers, None))
        wish = Wish(self.name, config, self.permissions, self.is_learning)
        path = await pool.path_for(config.command)
        launch = await pool.sandbox.launch(wish, path, pool.environment, self.denials)
        on_end = partial(self._died, time.monotonic())
        child = Child(self.name, pool.limits, self.stderr, pool.watchdog, on_end)
        await child.start(launch)
        return child

    def _spawn(self, look: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(look)
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)
        return task

    async def _come_back(self) -> None:
        """There are clients that wait to hear of it, and need not call it for that."""
        with contextlib.suppress(GatewayError):
            await self.shared()

    def _died(self, born: float, child: Child, error: GatewayError) -> None:
        now = time.monotonic()
        if child.dialogue.served or now - born > LONG_LIFE:
            self._health.backoff.succeeded()
        else:
            self._health.backoff.died(now)
        self.stderr.note(error.message)
        self._pool.died(child)
        self._health.failed(error)
        if self.watched and self._shared is None:
            self._spawn(self._come_back())

    def _refuse_when_stopped(self) -> None:
        if not self.is_enabled:
            raise UpstreamUnavailable(
                f"The MCP server {self.name} is stopped: POST /api/mcp_server/{self.name}/start starts it",
                name=self.name,
            )

    def _tell_watchers(self, message: Message | None) -> None:
        for watcher in self.watchers:
            watcher(self.name, message)

    def _forget_shared(self) -> None:
        self._shared = None
        self._note_state()

    def _transport(self) -> Literal["stdio", "http", "sse"] | None:
        if not isinstance(self.config, HttpConfig):
            return "stdio"
        return self._spoken or ("sse" if self.config.transport == "sse" else None)


_TOOLS_CHANGED = jsonrpc.raw(mcp.TOOLS_CHANGED)


async def _as_it_is(config: ServerConfig) -> ServerConfig:
    return config

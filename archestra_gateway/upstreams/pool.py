"""Every live conversation with every MCP server: how many there may be, and which have idled too long."""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sized
from pathlib import Path
from typing import Any

import aiohttp
import attrs

from archestra_gateway.config import McpConfig
from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.sandbox.confine import Sandbox
from archestra_gateway.sandbox.path import SearchPath, early_path, find_search_path
from archestra_gateway.upstreams.authorization import Authorization, NoAuthorization
from archestra_gateway.upstreams.upstream import Upstream
from archestra_gateway.upstreams.watchdog import Watchdog

log = logging.getLogger(__name__)

LONGEST_ROUND = 30.0
KEPT_OPEN = 4.0
"""Seconds that a connection waits for the next request: less than servers wait before they close it."""

KEEP_ALIVE = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 30),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 10),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
)


@attrs.define(eq=False)
class Lease:
    """One upstream of the server `owner`; `on_end` hears that it is over.

    While it has `pins` (open streams) or somebody has `watched` something through it, it is needed.
    """

    owner: str
    upstream: Upstream
    on_end: Callable[[], None]
    is_session: bool
    watched: Sized = ()
    pins: int = 0

    def idle(self, now: float) -> float:
        """Seconds without anything to do; negative while it is needed."""
        dialogue = self.upstream.dialogue
        return -1.0 if self.pins or self.watched or dialogue.in_flight else now - dialogue.last_used


@attrs.define(eq=False)
class Pool:
    """`clean` takes secrets out of stderr lines that are shown; `authorize` knows a server's logins."""

    limits: McpConfig
    environment: Mapping[str, str] = attrs.field(repr=False)
    clean: Callable[[str], str]
    http: aiohttp.ClientSession
    sandbox: Sandbox
    authorize: Callable[[str], Authorization] = attrs.field(default=lambda name: NoAuthorization())
    watchdog: Watchdog = attrs.field(factory=Watchdog)
    leases: list[Lease] = attrs.field(factory=list)
    _starting_children: int = 0
    _starting_sessions: int = 0
    _beginning: set[asyncio.Task[Upstream]] = attrs.field(factory=set)
    _stopping: set[asyncio.Future[Any]] = attrs.field(factory=set)
    _path: asyncio.Task[SearchPath] | None = None

    async def path(self) -> SearchPath:
        """Found once, in the background since the start."""
        return await asyncio.shield(self._path or self.search())

    async def path_for(self, command: str) -> SearchPath:
        """Waits for the login shell only where it may know better."""
        if self._path is None or not self._path.done():
            daemon = self.environment.get("PATH", "")
            early = await asyncio.to_thread(early_path, command, daemon, Path.home())
            if early is not None:
                return early
        return await self.path()

    @contextlib.asynccontextmanager
    async def room(self, *, for_child: bool, for_session: bool) -> AsyncIterator[None]:
        """Held while an upstream starts; ends the idlest of too many. Raises UpstreamUnavailable."""
        if for_child:
            await self._make_room(
                lambda: self._children() + self._starting_children < self.limits.max_children,
                lambda lease: lease.upstream.pid != 0,
                f"All {self.limits.max_children} children are busy: stop a server, or raise mcp.max_children",
            )
        if for_session:
            await self._make_room(
                lambda: self._sessions() + self._starting_sessions < self.limits.max_sessions,
                lambda lease: lease.is_session,
                f"All {self.limits.max_sessions} MCP sessions are busy: end one, or raise mcp.max_sessions",
            )
        self._starting_children += for_child
        self._starting_sessions += for_session
        try:
            yield
        finally:
            self._starting_children -= for_child
            self._starting_sessions -= for_session

    def of(self, owner: str) -> list[Lease]:
        return [lease for lease in self.leases if lease.owner == owner]

    def search(self) -> asyncio.Task[SearchPath]:
        """Begin to look for programs, so that the first start need not wait for the login shell."""
        self._path = asyncio.create_task(find_search_path(dict(self.environment)))
        return self._path

    def died(self, upstream: Upstream) -> None:
        """It ended by itself."""
        dead = [lease for lease in self.leases if lease.upstream.dialogue is upstream.dialogue]
        self.leases = [lease for lease in self.leases if lease not in dead]
        for lease in dead:
            lease.on_end()

    async def end(self, leases: list[Lease]) -> None:
        """Nobody gets them from here on; they are stopped to the end though the caller be cancelled."""
        self.leases = [lease for lease in self.leases if lease not in leases]
        for lease in leases:
            lease.on_end()
        stops = [self.finish(lease.upstream.stop()) for lease in leases]
        await asyncio.gather(*stops, return_exceptions=True)

    def begin(self, start: Coroutine[Any, Any, Upstream]) -> asyncio.Task[Upstream]:
        """A start that everybody who wants it waits for; the pool's end breaks it off."""
        task = asyncio.create_task(start)
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)
        return task

    def finish(self, stop: Coroutine[Any, Any, None]) -> asyncio.Future[None]:
        """A stop that nobody can cancel half-way, and that the pool's own end waits for."""
        task = asyncio.create_task(stop)
        self._stopping.add(task)
        task.add_done_callback(self._stopped)
        return asyncio.shield(task)

    async def sweep_for_ever(self) -> None:
        """End what nobody used for `idle_timeout`."""
        while True:
            await asyncio.sleep(min(LONGEST_ROUND, self.limits.idle_timeout / 4))
            now = time.monotonic()
            idle = [lease for lease in self.leases if lease.idle(now) > self.limits.idle_timeout]
            await self.end(idle)

    async def close(self) -> None:
        beginning = list(self._beginning)
        for task in beginning:
            task.cancel()
        await asyncio.gather(*beginning, return_exceptions=True)
        await self.end(self.leases)
        if self._path is not None:
            self._path.cancel()
            self._stopping.add(self._path)
        await asyncio.gather(*self._stopping, return_exceptions=True)
        self.watchdog.close()

    async def _make_room(
        self, is_there: Callable[[], bool], counts: Callable[[Lease], bool], refusal: str
    ) -> None:
        while not is_there():
            now = time.monotonic()
            idle = [lease for lease in self.leases if counts(lease) and lease.idle(now) >= 0]
            if not idle:
                raise UpstreamUnavailable(refusal)
            await self.end([max(idle, key=lambda lease: lease.idle(now))])

    def _stopped(self, stop: asyncio.Future[None]) -> None:
        self._stopping.discard(stop)
        if not stop.cancelled() and (error := stop.exception()) is not None:
            log.error("An MCP server could not be stopped", exc_info=error)

    def _children(self) -> int:
        return sum(lease.upstream.pid != 0 for lease in self.leases)

    def _sessions(self) -> int:
        return sum(lease.is_session for lease in self.leases)


@contextlib.asynccontextmanager
async def open_pool(
    limits: McpConfig, environment: Mapping[str, str], clean: Callable[[str], str], sandbox: Sandbox
) -> AsyncIterator[Pool]:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=limits.start_timeout)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_OPEN, socket_factory=_lasting_socket)
    async with aiohttp.ClientSession(
        timeout=timeout, connector=connector, cookie_jar=aiohttp.DummyCookieJar()
    ) as http:
        pool = Pool(limits, environment, clean, http, sandbox)
        pool.search()
        sweeper = asyncio.create_task(pool.sweep_for_ever())
        try:
            yield pool
        finally:
            sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sweeper
            await pool.close()


def _lasting_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """One that finds out within about a minute that the other side is gone without a word."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    for level, name, value in KEEP_ALIVE:
        if hasattr(socket, name):  # not every system has all of them
            made.setsockopt(level, getattr(socket, name), value)
    return made

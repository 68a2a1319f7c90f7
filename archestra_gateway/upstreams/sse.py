"""The transport of 2024-11-05: one stream for everything the server says, and POSTs to where it names."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Literal

from yarl import URL

from archestra_gateway.errors import GatewayError, UpstreamError
from archestra_gateway.protocol import jsonrpc
from archestra_gateway.protocol.sse import Place
from archestra_gateway.upstreams.dialogue import Call, Dialogue
from archestra_gateway.upstreams.http_requests import (
    EVENTS,
    JSON,
    BrokenOff,
    NotSpoken,
    Requests,
    SessionGone,
)

ENDPOINT = b"endpoint"
PATIENCE = 10.0
"""Seconds that a server has to name the place for messages."""
PING = jsonrpc.request(0, "ping")


class OldSse:
    """`lost` is told when the stream, and with it the session, is over."""

    name: Literal["http", "sse"] = "sse"
    knows_causes = False
    keeps_session = True

    def __init__(self, requests: Requests, dialogue: Dialogue, lost: Callable[[], object]) -> None:
        self._requests = requests
        self._dialogue = dialogue
        self._lost = lost
        self._endpoint: str | None = None
        self._reading: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._heard_at = 0.0

    async def begin(self, call: Call, text: bytes) -> None:
        """Raises NotSpoken when this seems to be no such server."""
        self._stop()
        named: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read(named))
        try:
            self._endpoint = await self._named(named)
            await self._post(text)
        except BaseException:
            self._stop()
            raise

    def agreed(self, version: str | None) -> None:
        """Nothing in a request depends on it."""

    async def deliver(self, call: Call | None, text: bytes) -> None:
        """The answer comes in the stream. Raises SessionGone."""
        await self._post(text)

    def listen(self) -> None:
        """What is said unasked comes in the one stream that there is."""
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    async def end(self) -> None:
        """The end of the stream is the end of the session."""
        self._stop()

    async def _named(self, named: "asyncio.Future[str]") -> str:
        try:
            async with asyncio.timeout(PATIENCE):
                return await named
        except TimeoutError as error:
            name = self._requests.name
            raise NotSpoken(
                f"The MCP server {name} did not name a place for messages within {PATIENCE:g} seconds",
                name=name,
            ) from error

    async def _post(self, text: bytes) -> None:
        if self._endpoint is None:
            raise self._gone()
        async with self._requests.open("POST", {"Content-Type": JSON}, text, self._endpoint) as response:
            if response.status == 404:
                raise self._gone()
            self._requests.check(response)

    async def _read(self, named: "asyncio.Future[str]") -> None:
        """The one stream, to its end; `named` gets the place for messages."""
        name = self._requests.name
        try:
            async with self._requests.open("GET", {"Accept": EVENTS}) as response:
                self._requests.check(response)
                if response.content_type != EVENTS:
                    raise NotSpoken(f"The MCP server {name} answered with {response.content_type}", name=name)
                async for event in self._requests.events(response, Place()):
                    self._heard_at = time.monotonic()
                    if event.kind == ENDPOINT and not named.done():
                        named.set_result(self._place(event.data))
                    elif event.data and named.done():
                        with contextlib.suppress(jsonrpc.ProtocolError):  # the next one may be a message
                            self._dialogue.receive(event.data)
            raise BrokenOff(f"The MCP server {name} ended its stream", name=name)
        except GatewayError as error:
            if named.done():
                self._break(error)
            else:
                named.set_exception(error)

    def _break(self, error: GatewayError) -> None:
        """Answers that were to come in the stream will never come."""
        self._stop()
        self._requests.health.failed(error)
        self._dialogue.drop(error)
        self._lost()

    def _place(self, data: bytes) -> str:
        """Raises UpstreamError for a place that is not the configured server's own."""
        name = self._requests.name
        try:
            url = URL(self._requests.server.url).join(URL(data.decode().strip()))
            if self._requests.is_ours(url):
                return str(url)
        except ValueError:
            pass
        raise UpstreamError(
            f"The MCP server {name} wants its messages sent to another place, which is refused", name=name
        )

    async def _watch(self) -> None:
        """A stream that may be dead is asked for a sign of life."""
        quiet = 4 * self._dialogue.limits.keep_alive
        while True:
            await asyncio.sleep(quiet)
            if self._dialogue.in_flight or time.monotonic() - self._heard_at < quiet:
                continue
            try:
                await self._dialogue.ask(Call(PING, is_own=True, is_use=False), self._post)
            except GatewayError:
                name = self._requests.name
                self._break(BrokenOff(f"The MCP server {name} gives no sign of life", name=name))
                return

    def _stop(self) -> None:
        for task in (self._reading, self._watching):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
        self._reading = self._watching = self._endpoint = None

    def _gone(self) -> SessionGone:
        name = self._requests.name
        return SessionGone(f"The MCP server {name} does not know the session any more", name=name)

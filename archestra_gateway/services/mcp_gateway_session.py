"""One session of one MCP client with /mcp, and its own conversations with the servers behind it."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from functools import partial

import attrs
from msgspec import Raw

from archestra_gateway.errors import GatewayError, NotFound, UpstreamError, UpstreamUnavailable
from archestra_gateway.protocol import jsonrpc, mcp
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.services.mcp_gateway_wishes import Wishes
from archestra_gateway.services.mcp_outbox import BACKLOG, Calls, Outbox
from archestra_gateway.services.mcp_view import Visibility
from archestra_gateway.services.mcp_waiting import Waiting
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.pins import abilities
from archestra_gateway.upstreams.pool import Lease
from archestra_gateway.upstreams.server import Server
from archestra_gateway.upstreams.tools import error_text

SET_LEVEL = "logging/setLevel"
UPDATED = "notifications/resources/updated"
SUBSCRIBE, UNSUBSCRIBE = "resources/subscribe", "resources/unsubscribe"


@attrs.define(eq=False)
class Leg:
    """A conversation of this session with one server; begun by the first call to it."""

    server: Server
    opening: asyncio.Task[Lease] | None = None
    lease: Lease | None = None


class GatewaySession:
    """`opening` is what the client's `initialize` said: servers behind the gateway are told the same.

    `wishes` are those that it slept with, if it did: what has changed since then nobody knows.
    """

    def __init__(
        self,
        identifier: str,
        opening: Raw,
        version: str,
        client_info: dict[str, str],
        wishes: Wishes | None = None,
    ) -> None:
        self.id = identifier
        self.opening = opening
        self.version = version
        self.client_info = client_info
        self.abilities = abilities(mcp.member(opening, "capabilities"))
        self.visibility = Visibility()
        self.outbox = Outbox()
        self.wishes = wishes or Wishes()
        self.last_used = time.monotonic()
        self.waiting = Waiting()
        self._calls = Calls()
        self._legs: dict[str, Leg] = {}
        self._returning: set[asyncio.Task[None]] = set()
        self._left = set(self.wishes.watched.values())
        self._asked: dict[int, tuple[Leg, Raw]] = {}
        self._last_number = 0
        for uri in self.wishes.own:
            self.outbox.put(_updated(uri))

    @property
    def is_busy(self) -> bool:
        is_opening = any(leg.opening is not None for leg in self._legs.values())
        return is_opening or self.outbox.is_streaming or len(self.waiting) + len(self._calls) > 0

    def touch(self) -> None:
        self.last_used = time.monotonic()

    async def request(self, server: Server, call: Call) -> Message:
        """The server's answer; the conversation with it is this session's own. Raises GatewayError."""
        with self._calls.expecting(call):
            lease = await self._lease(server)
            with self.waiting.over():
                answer = await self._calls.ask(lease.upstream, call)
        if mcp.method(call.message) == SUBSCRIBE and "result" in answer:
            self.wishes.watch(str(mcp.member(call.message.get("params"), "uri")), server.name)
            self._note_watched(server.name)
        return answer

    async def unsubscribe(self, uri: str) -> None:
        """The server that was watched for it hears so, while it is spoken to."""
        server = self.wishes.forget(uri)
        leg = self._legs.get(server or "")
        if leg is not None and leg.lease is not None:
            self._note_watched(leg.server.name)
            await self._tell(leg.lease, UNSUBSCRIBE, uri=uri)

    def resume(self, find: Callable[[str], Server]) -> None:
        """Be told again by servers that were watched before the session slept, as far as it may see them."""
        for name in [name for name in self._left if self.visibility.shows_server(name)]:
            self._left.discard(name)
            with contextlib.suppress(NotFound):
                self._come_back(find(name))

    async def notify(self, message: Message) -> None:
        """What the client says unasked is for every server that it talks to."""
        method = mcp.method(message)
        if method == mcp.CANCELLED:
            if not self.waiting.cancel(message):
                await self._calls.cancel(message)
        elif method != mcp.INITIALIZED:
            await self.tell(message)

    async def tell(self, message: Message) -> None:
        for leg in list(self._legs.values()):
            if leg.lease is not None:
                with contextlib.suppress(GatewayError):
                    await leg.lease.upstream.send(message)

    async def set_level(self, level: str) -> None:
        self.wishes.set_level(level)
        for leg in list(self._legs.values()):
            if leg.lease is not None:
                await self._tell(leg.lease, SET_LEVEL, level=level)

    async def answer(self, message: Message) -> None:
        """What the client says to a question of a server; an answer that nobody waits for is dropped."""
        number = bytes(message["id"])
        leg, identifier = self._asked.pop(int(number), (None, None)) if number.isdigit() else (None, None)
        if leg is not None and leg.lease is not None:
            await leg.lease.upstream.send({**message, "id": identifier or jsonrpc.NULL})

    def hear_news(self, message: Message) -> None:
        """Of a server that this client may see."""
        is_update = mcp.method(message) == UPDATED
        if is_update and mcp.member(message.get("params"), "uri") not in self.wishes.watched:
            return
        self._tell_anybody(message)

    def hear_own_news(self, message: Message, uri: str, client: str | None) -> None:
        """Of one of the gateway's own resources, or of this `client`'s alone."""
        reader = self.wishes.own.get(uri)
        if reader is not None and client in (None, reader):
            self._tell_anybody(message)

    async def end(self) -> None:
        self.outbox.end()
        self.wishes = Wishes()
        for task in self._returning:
            task.cancel()
        legs, self._legs = list(self._legs.values()), {}
        for leg in legs:
            if leg.opening is not None:
                leg.opening.cancel()
            if leg.lease is not None:
                await leg.server.close_session(leg.lease)

    async def _lease(self, server: Server) -> Lease:
        leg = self._legs.get(server.name)
        if leg is None or leg.server is not server:
            leg = self._legs[server.name] = Leg(server)
        if leg.lease is None:
            if leg.opening is None:
                leg.opening = asyncio.create_task(self._open(leg))
                leg.opening.add_done_callback(partial(self._has_opened, leg))
            return await self._opened(leg.opening, server)
        return leg.lease

    async def _opened(self, opening: asyncio.Task[Lease], server: Server) -> Lease:
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError as error:
            if not opening.cancelled():
                raise
            raise UpstreamUnavailable(
                f"The session ended while the MCP server {server.name} started", name=server.name
            ) from error

    async def _open(self, leg: Leg) -> Lease:
        call = Call(jsonrpc.request(0, mcp.INITIALIZE, self.opening), is_own=True)
        lease, answer = await leg.server.open_session(
            call, partial(self._hear, leg), partial(self._forget, leg)
        )
        if "result" not in answer:
            await leg.server.close_session(lease)
            raise UpstreamError(
                f"The MCP server {leg.server.name} refused to initialize: {error_text(answer)}",
                name=leg.server.name,
            )
        leg.lease = lease
        await lease.upstream.send(jsonrpc.notification(mcp.INITIALIZED))
        capabilities = mcp.member(answer["result"], "capabilities")
        if self.wishes.level is not None and isinstance(capabilities, dict) and "logging" in capabilities:
            await self._tell(lease, SET_LEVEL, level=self.wishes.level)
        self._note_watched(leg.server.name)
        for uri in self.wishes.at(leg.server.name):
            await self._tell(lease, SUBSCRIBE, uri=uri)
        return lease

    def _note_watched(self, name: str) -> None:
        """While anything is watched there, the conversation is needed."""
        leg = self._legs.get(name)
        if leg is not None and leg.lease is not None:
            leg.lease.watched = self.wishes.at(name)

    async def _tell(self, lease: Lease, method: str, **params: str) -> None:
        with contextlib.suppress(GatewayError):  # a server that does not know it goes on as it is
            await lease.upstream.call(Call(jsonrpc.request(0, method, params), is_own=True))

    def _come_back(self, server: Server) -> None:
        returning = asyncio.create_task(self._watch_again(server))
        self._returning.add(returning)
        returning.add_done_callback(self._returning.discard)

    async def _watch_again(self, server: Server) -> None:
        """Whatever it did not tell meanwhile may have changed."""
        with contextlib.suppress(GatewayError):  # the next call tells
            await self._lease(server)
            for uri in self.wishes.at(server.name):
                self._tell_anybody(_updated(uri))

    def _has_opened(self, leg: Leg, task: asyncio.Task[Lease]) -> None:
        leg.opening = None
        if not task.cancelled() and task.exception() is not None:
            self._forget(leg)

    def _forget(self, leg: Leg) -> None:
        """It is over, and begun anew by the next call, or at once where something is subscribed to."""
        if self._legs.get(leg.server.name) is leg:
            del self._legs[leg.server.name]
            if leg.lease is not None and self.wishes.at(leg.server.name):
                self._come_back(leg.server)
        self._asked = {number: asked for number, asked in self._asked.items() if asked[0] is not leg}

    def _hear(self, leg: Leg, message: Message, causes: Sequence[Call]) -> None:
        """The call that made the server speak hears it, where it can."""
        if mcp.method(message) in mcp.FOR_EVERY_SESSION:
            leg.server.broadcast(message)
            return
        if "id" in message:
            message = self._renamed(leg, message)
        elif mcp.method(message) == mcp.CANCELLED:
            message = self._cancelled(leg, message)
        if not any(call.tell(message) for call in causes):
            self._tell_anybody(message)

    def _tell_anybody(self, message: Message) -> None:
        """What no call of the client caused."""
        if self.outbox.is_streaming or not self._calls.tell_newest(message):
            self.outbox.put(message)

    def _renamed(self, leg: Leg, message: Message) -> Message:
        """Two servers may ask with the same id."""
        self._last_number += 1
        if len(self._asked) < BACKLOG:
            self._asked[self._last_number] = leg, message["id"]
        return {**message, "id": jsonrpc.raw(self._last_number)}

    def _cancelled(self, leg: Leg, message: Message) -> Message:
        params = message.get("params")
        wanted = leg, mcp.request_id(params)
        number = next((number for number, asked in self._asked.items() if asked == wanted), 0)
        return {**message, "params": mcp.with_member(params, "requestId", jsonrpc.raw(number))}


def _updated(uri: str) -> Message:
    return jsonrpc.notification(UPDATED, {"uri": uri})

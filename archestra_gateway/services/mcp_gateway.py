"""/mcp: one endpoint for everything that is behind the gateway, for clients of every era."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs
from msgspec import Raw

from archestra_gateway.errors import GatewayError, InternalError
from archestra_gateway.protocol import jsonrpc, mcp, modern
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.protocol.modern import Envelope, Headers
from archestra_gateway.services.external_mcp_client_known import KnownClients
from archestra_gateway.services.mcp_catalogue import Catalogue
from archestra_gateway.services.mcp_client_info import client_info, introduce
from archestra_gateway.services.mcp_gateway_caller import Caller, no_such_method
from archestra_gateway.services.mcp_gateway_listen import UPDATED, Listen
from archestra_gateway.services.mcp_gateway_methods import CAPABILITIES, Methods
from archestra_gateway.services.mcp_gateway_session import GatewaySession
from archestra_gateway.services.mcp_gateway_sessions import Sessions
from archestra_gateway.services.mcp_own_news import OwnNews
from archestra_gateway.services.mcp_own_uris import NAME, is_own, server_of
from archestra_gateway.services.mcp_proxy import Reply
from archestra_gateway.services.mcp_request_log import Entry
from archestra_gateway.services.mcp_view import Visibility
from archestra_gateway.upstreams.dialogue import Listener
from archestra_gateway.upstreams.tools import error_text

log = logging.getLogger(__name__)

LIST_CHANGES = ("tools", "resources", "prompts")


@attrs.frozen(eq=False)
class Arrival:
    """What a client posted; `listener` takes what comes before the answer, where the client can hear it."""

    session_id: str | None
    headers: Headers
    text: bytes
    listener: Listener | None
    entry: Entry
    may_administer: bool


@attrs.frozen(eq=False)
class McpGateway:
    """Made by `open_mcp_gateway`."""

    _methods: Methods
    _sessions: Sessions
    _clients: KnownClients
    _news: OwnNews
    _listens: set[Listen] = attrs.field(factory=set)

    async def receive(self, arrival: Arrival) -> Reply:
        """Never raises a GatewayError: it becomes the reply, with the id of the message it is about."""
        identifier: Raw | None = None
        try:
            message = jsonrpc.decode(arrival.text)
            identifier = message.get("id")
            reply = await self._route(arrival, message)
        except GatewayError as error:
            reply = Reply(jsonrpc.failure(_sound(identifier), error), arrival.session_id, error)
        except Exception:
            log.exception("A message to /mcp failed")
            fault = InternalError()
            reply = Reply(jsonrpc.failure(_sound(identifier), fault), arrival.session_id, fault)
        if reply.message is not None and "error" in reply.message:
            arrival.entry.error_message = error_text(reply.message)
        return reply

    async def session(self, identifier: str, entry: Entry) -> GatewaySession:
        """Of the client in `entry`. Raises NotFound, which tells it to initialize again."""
        session = await self._sessions.find(identifier)
        session.visibility = self._meet(entry, session.client_info)
        self._methods.resume(session)
        return session

    async def end_session(self, identifier: str) -> None:
        """Raises NotFound."""
        await self._sessions.end(identifier)

    def counts(self) -> Mapping[str, Any]:
        return {"sessions": len(self._sessions.awake()), "listening": len(self._listens)}

    def stop(self) -> None:
        """End the streams that have no end of their own."""
        for listen in self._listens:
            listen.ended.set()

    async def close(self) -> None:
        await self._sessions.close()

    def hear_news(self, server: str, message: Message | None) -> None:
        """What a server said about itself; without a message, what is offered has changed."""
        if message is None:
            self._news.server(server)
        news = [message] if message is not None else [_list_changed(kind) for kind in LIST_CHANGES]
        for session in self._sessions.awake():
            if not server or session.visibility.shows_server(server):
                for each in news:
                    session.hear_news(each)
        for listen in list(self._listens):
            if not server or listen.visibility.shows_server(server):
                for each in news:
                    listen.hear_news(each)

    def hear_own_news(self, uri: str, client: str | None) -> None:
        """One of the gateway's own resources changed, or this client's one."""
        news = jsonrpc.notification(UPDATED, {"uri": uri})
        server = server_of(uri)
        for session in self._sessions.awake():
            if server is None or session.visibility.shows_server(server):
                session.hear_own_news(news, uri, client)
        for listen in list(self._listens):
            is_shown = server is None or listen.visibility.shows_server(server)
            if is_shown and client in (None, listen.client):
                listen.hear_news(news)

    async def _route(self, arrival: Arrival, message: Message) -> Reply:
        kind = jsonrpc.kind(message)
        arrival.entry.server_name = NAME
        arrival.entry.method = mcp.method(message) or "(answer)"
        version = arrival.headers.version[0] if arrival.headers.version else None
        if modern.is_modern(version, message):
            return await self._answer_modern(arrival, message, kind)
        if arrival.session_id is not None:
            return await self._in_session(arrival, arrival.session_id, message, kind)
        if arrival.entry.method == mcp.INITIALIZE and kind == "request":
            return await self._initialize(arrival, message)
        if kind == "answer" or arrival.entry.method.startswith("notifications/"):
            return Reply()  # without a session there is nobody whom it could concern
        return Reply(await self._methods.answer(self._caller(arrival), message))

    async def _in_session(
        self, arrival: Arrival, identifier: str, message: Message, kind: jsonrpc.Kind
    ) -> Reply:
        session = await self.session(identifier, arrival.entry)
        if kind == "answer":
            await session.answer(message)
        elif mcp.method(message).startswith("notifications/"):
            await session.notify(message)
        else:
            answering = self._methods.answer(self._caller(arrival, session), message)
            answer = await session.waiting.answer(message, answering)
            await self._sessions.keep(session)
            session.touch()
            return Reply(answer, session.id)
        return Reply(session_id=session.id)

    async def _initialize(self, arrival: Arrival, message: Message) -> Reply:
        wanted = mcp.member(message.get("params"), "protocolVersion")
        version = wanted if wanted in mcp.SESSION_VERSIONS else mcp.SESSION_VERSIONS[0]
        opening = mcp.with_member(message.get("params"), "protocolVersion", jsonrpc.raw(version))
        session = await self._sessions.begin(opening, version)
        session.visibility = self._meet(arrival.entry, session.client_info)
        arrival.entry.mcp_session_id = session.id
        said = {
            "protocolVersion": version,
            "capabilities": CAPABILITIES,
            "serverInfo": modern.SERVER_INFO,
            "instructions": self._methods.instructions(session.visibility),
        }
        return Reply(jsonrpc.result(message["id"], said), session.id)

    async def _answer_modern(self, arrival: Arrival, message: Message, kind: jsonrpc.Kind) -> Reply:
        if kind == "answer":
            raise jsonrpc.InvalidMessage("Clients of this version send requests, and no answers")
        if kind == "notification":
            modern.check_version(arrival.headers.version[0] if arrival.headers.version else None)
            return Reply()
        envelope = modern.check(arrival.headers, message)
        self._meet(arrival.entry, client_info(envelope.client_info))
        method = mcp.method(message)
        if method in modern.REMOVED:
            answer = no_such_method(message)
        elif method == modern.LISTEN:
            answer = await self._listen(arrival, self._caller(arrival, envelope=envelope), message)
        else:
            caller = self._caller(arrival, envelope=envelope)
            answer = await self._methods.answer(caller, message)
        answer = modern.answer(answer, method, mcp.member(message.get("params"), "uri"))
        return Reply(answer, status=modern.status(answer))

    async def _listen(self, arrival: Arrival, caller: Caller, message: Message) -> Message:
        """Until the client leaves or the gateway stops."""
        if arrival.listener is None:
            raise jsonrpc.InvalidMessage(f"{modern.LISTEN} needs `Accept: text/event-stream`")
        asked = Listen.wanted(message, arrival.listener, caller.visibility)
        uris = [uri for uri in asked.uris if not is_own(uri) or self._methods.may_watch(caller, uri)]
        listen = attrs.evolve(asked, uris=tuple(uris), client=self._methods.visit(caller).client)
        listen.acknowledge()
        self._listens.add(listen)
        try:
            async with AsyncExitStack() as watching:
                for uri in (uri for uri in uris if not is_own(uri)):
                    watched = await self._methods.watch_resource(caller.visibility, uri)
                    if watched is not None:
                        watching.push_async_callback(watched.remove, uri)
                await listen.ended.wait()
        finally:
            self._listens.discard(listen)
        return listen.result()

    def _meet(self, entry: Entry, info: dict[str, str]) -> Visibility:
        introduce(entry, info, self._clients)
        return self._clients.visibility(entry.client)

    def _caller(
        self, arrival: Arrival, session: GatewaySession | None = None, envelope: Envelope | None = None
    ) -> Caller:
        """A person's AI program does not administer, whoever may use this machine."""
        return Caller(
            self._clients.visibility(arrival.entry.client),
            arrival.may_administer and arrival.entry.client is None,
            arrival.entry,
            arrival.listener,
            session,
            envelope,
            arrival.headers.parameters if envelope is not None else None,
        )


@asynccontextmanager
async def open_mcp_gateway(
    catalogue: Catalogue, methods: Methods, sessions: Sessions, clients: KnownClients, news: OwnNews
) -> AsyncIterator[McpGateway]:
    gateway = McpGateway(methods, sessions, clients, news)
    catalogue.listener, catalogue.on_state = gateway.hear_news, news.server
    news.listener = gateway.hear_own_news
    sweeper = asyncio.create_task(sessions.sweep_for_ever())
    try:
        yield gateway
    finally:
        sweeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeper
        news.close()
        await gateway.close()


def _list_changed(kind: str) -> Message:
    return jsonrpc.notification(f"notifications/{kind}/list_changed")


def _sound(identifier: Raw | None) -> Raw | None:
    return identifier if identifier is not None and bytes(identifier)[:1] in b'"-0123456789' else None

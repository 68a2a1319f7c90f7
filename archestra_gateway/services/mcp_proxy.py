"""Every message of every MCP client finds its server here, and every answer its client."""

import logging
import secrets
from functools import partial
from typing import NamedTuple

import attrs
from msgspec import Raw

from archestra_gateway.errors import GatewayError, InternalError, NotFound
from archestra_gateway.protocol import jsonrpc, mcp, modern
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.protocol.modern import Headers
from archestra_gateway.services.external_mcp_client_known import KnownClients
from archestra_gateway.services.mcp_client_info import client_info, introduce, opening_info
from archestra_gateway.services.mcp_modern_request import Request, named
from archestra_gateway.services.mcp_proxy_modern import ModernProxy
from archestra_gateway.services.mcp_request_log import Entry
from archestra_gateway.services.mcp_server import McpServers
from archestra_gateway.services.mcp_session import Session
from archestra_gateway.upstreams.dialogue import Call, Listener
from archestra_gateway.upstreams.server import Server
from archestra_gateway.upstreams.tools import error_text

log = logging.getLogger(__name__)


class Begun(NamedTuple):
    """A call that its server has already; `call.answer` tells of its end."""

    session: Session
    call: Call


class Incoming(NamedTuple):
    """What a client posted; `listener` takes what comes before the answer, where the client can hear it."""

    server: str
    session_id: str | None
    headers: Headers
    text: bytes
    listener: Listener | None
    entry: Entry
    begun: Begun | None = None


class Reply(NamedTuple):
    """No message: it was taken, and that is all. `error` is a failure that is not the server's own.

    `status` is the HTTP status, where the era has rules for it.
    """

    message: Message | None = None
    session_id: str | None = None
    error: GatewayError | None = None
    status: int | None = None


@attrs.frozen(eq=False)
class McpProxy:
    """`/mcp_proxy/{server}`, for clients of every era."""

    _servers: McpServers
    _clients: KnownClients
    _modern: ModernProxy
    _sessions: dict[str, Session] = attrs.field(factory=dict)

    def begin(self, incoming: Incoming, listener: Listener | None) -> Begun | None:
        """What its server can have at once; None: it is for `receive`, and nothing has happened."""
        session = self._sessions.get(incoming.session_id or "")
        if session is None or session.server.name != incoming.server or b'"_meta"' in incoming.text:
            return None
        try:
            message = jsonrpc.decode(incoming.text)
            if jsonrpc.kind(message) != "request":
                return None
            _describe(incoming.entry, mcp.method(message), message)
            self._meet(incoming, session.client_info)
        except GatewayError:
            return None
        call = Call(message, listener)
        return Begun(session, call) if session.begin(call) else None

    def conclude(self, begun: Begun, entry: Entry) -> Reply:
        """The answer, which has come. Raises the GatewayError that came in its place."""
        return _noted(entry, Reply(begun.session.conclude(begun.call), begun.session.id))

    async def receive(self, incoming: Incoming) -> Reply:
        """Never raises a GatewayError: it becomes the reply, with the id of the message it is about."""
        identifier: Raw | None = None
        try:
            message = jsonrpc.decode(incoming.text)
            identifier = _identifier(message)
            reply = await self._route(incoming, message)
        except GatewayError as error:
            reply = Reply(jsonrpc.failure(identifier, error), incoming.session_id, error)
        except Exception:
            log.exception("A message to the MCP server %s failed", incoming.server)
            fault = InternalError()
            reply = Reply(jsonrpc.failure(identifier, fault), incoming.session_id, fault)
        return _noted(incoming.entry, reply)

    def session(self, server: str, identifier: str) -> Session:
        """Raises NotFound, which tells a client to initialize again."""
        session = self._sessions.get(identifier)
        if session is None or session.server.name != server:
            raise NotFound("The MCP session is unknown or over: initialize again", session_id=identifier)
        return session

    async def end_session(self, server: str, identifier: str) -> None:
        session = self.session(server, identifier)
        await session.server.close_session(session.lease)

    def stop(self) -> None:
        """End the streams that have no end of their own."""
        self._modern.stop()

    async def _route(self, incoming: Incoming, message: Message) -> Reply:
        if incoming.begun is not None:
            incoming.begun.call.listener = incoming.listener
            return Reply(await incoming.begun.session.request(incoming.begun.call), incoming.session_id)
        kind = jsonrpc.kind(message)
        method = mcp.method(message)
        _describe(incoming.entry, method, message)
        server = self._servers.find(incoming.server)
        version = incoming.headers.version[0] if incoming.headers.version else None
        if modern.is_modern(version, message):
            return await self._answer_modern(incoming, message, kind, server)
        if incoming.session_id is not None:
            return await self._in_session(incoming, message, method, kind)
        if method == mcp.INITIALIZE and "id" in message:
            return await self._initialize(incoming, message, server)
        if kind == "answer" or method.startswith("notifications/"):
            return Reply()  # without a session there is nobody whom it could concern
        self._meet(incoming, {})
        upstream = await server.shared()
        return Reply(await upstream.call(Call(message, incoming.listener)))

    async def _answer_modern(
        self, incoming: Incoming, message: Message, kind: jsonrpc.Kind, server: Server
    ) -> Reply:
        if kind == "answer":
            raise jsonrpc.InvalidMessage("Clients of this version send requests, and no answers")
        if kind == "notification":
            modern.check_version(incoming.headers.version[0] if incoming.headers.version else None)
            return Reply()
        envelope = modern.check(incoming.headers, message)
        self._meet(incoming, client_info(envelope.client_info))
        request = Request(named(incoming.entry), server, message, envelope, incoming.listener)
        answer = await self._modern.answer(request, incoming.headers.parameters)
        return Reply(answer, status=modern.status(answer))

    async def _in_session(
        self, incoming: Incoming, message: Message, method: str, kind: jsonrpc.Kind
    ) -> Reply:
        assert incoming.session_id is not None  # noqa: S101
        session = self.session(incoming.server, incoming.session_id)
        self._meet(incoming, session.client_info)
        if kind == "answer":
            await session.answer(message)
        elif method.startswith("notifications/"):
            await session.notify(message)
        else:
            return Reply(await session.request(Call(message, incoming.listener)), session.id)
        return Reply(session_id=session.id)

    async def _initialize(self, incoming: Incoming, message: Message, server: Server) -> Reply:
        session = Session(secrets.token_hex(16), server, opening_info(message.get("params")))
        self._meet(incoming, session.client_info)
        call = Call(message, incoming.listener)
        lease, answer = await server.open_session(call, session.hear, partial(self._forget, session))
        session.open(lease)
        if "error" in answer:
            await server.close_session(lease)
            return Reply(answer)
        self._sessions[session.id] = session
        incoming.entry.mcp_session_id = session.id
        return Reply(answer, session.id)

    def _meet(self, incoming: Incoming, info: dict[str, str]) -> None:
        """Raises NotFound when it is not one of the servers that this client gets."""
        introduce(incoming.entry, info, self._clients)
        if not self._clients.visibility(incoming.entry.client).shows_server(incoming.server):
            raise NotFound("MCP server not found", name=incoming.server)

    def _forget(self, session: Session) -> None:
        self._sessions.pop(session.id, None)
        session.end()


def _noted(entry: Entry, reply: Reply) -> Reply:
    if reply.message is not None and "error" in reply.message:
        entry.error_message = error_text(reply.message)
    return reply


def _identifier(message: Message) -> Raw | None:
    identifier = message.get("id")
    return identifier if identifier is not None and bytes(identifier)[:1] in b'"-0123456789' else None


def _describe(entry: Entry, method: str, message: Message) -> None:
    entry.method = method or "(answer)"
    if method == "tools/call":
        entry.tool_name = mcp.tool_name(message.get("params"))

"""Every message of every MCP client finds its server here, and every answer its client."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import attrs
from msgspec import Raw

from archestra_gateway.errors import GatewayError, InternalError, NotFound
from archestra_gateway.protocol import jsonrpc, mcp, modern
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.protocol.modern import Headers
from archestra_gateway.services.mcp_proxy_modern import ModernProxy
from archestra_gateway.services.mcp_request_log import Entry
from archestra_gateway.services.mcp_server import McpServers
from archestra_gateway.services.mcp_session import Session
from archestra_gateway.upstreams.dialogue import Call, Listener
from archestra_gateway.upstreams.server import Server
from archestra_gateway.upstreams.tools import error_text

log = logging.getLogger(__name__)

T = TypeVar("T")


@attrs.frozen
class Incoming:
    """What a client posted; `listener` takes what comes before the answer, where the client can hear it."""

    server: str
    session_id: str | None
    headers: Headers
    text: bytes
    listener: Listener | None
    entry: Entry


@attrs.frozen
class Reply:
    """No message: it was taken, and that is all. `error` is a failure that is not the server's own.

    `status` is the HTTP status, where the era has rules for it.
    """

    message: Message | None = None
    session_id: str | None = None
    error: GatewayError | None = None
    status: int | None = None


@attrs.frozen(eq=False)
class McpProxy:
    """Made by `open_mcp_proxy`."""

    _servers: McpServers
    _sessions: dict[str, Session] = attrs.field(factory=dict)
    _detached: set[asyncio.Task[Any]] = attrs.field(factory=set)
    _modern: ModernProxy = attrs.field(factory=ModernProxy)

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
        if reply.message is not None and "error" in reply.message:
            incoming.entry.error_message = error_text(reply.message)
        return reply

    async def see_through(self, work: Coroutine[Any, Any, T]) -> T:
        """`work` goes on when the client leaves: in a session that is no cancel (2025-11-25, Transports)."""
        task = asyncio.create_task(work)
        self._detached.add(task)
        task.add_done_callback(self._detached.discard)
        return await asyncio.shield(task)

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

    async def close(self) -> None:
        for task in self._detached:
            task.cancel()
        await asyncio.gather(*self._detached, return_exceptions=True)

    async def _route(self, incoming: Incoming, message: Message) -> Reply:
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
        _introduce(incoming.entry, _named(envelope.client_info))
        answer = await self._modern.answer(server, message, incoming.listener)
        return Reply(answer, status=modern.status(answer))

    async def _in_session(
        self, incoming: Incoming, message: Message, method: str, kind: jsonrpc.Kind
    ) -> Reply:
        assert incoming.session_id is not None  # noqa: S101
        session = self.session(incoming.server, incoming.session_id)
        _introduce(incoming.entry, session.client_info)
        if kind == "answer":
            await session.answer(message)
        elif method.startswith("notifications/"):
            await session.notify(message)
        else:
            return Reply(await session.request(Call(message, incoming.listener)), session.id)
        return Reply(session_id=session.id)

    async def _initialize(self, incoming: Incoming, message: Message, server: Server) -> Reply:
        session = Session(secrets.token_hex(16), server, _client_info(message))
        _introduce(incoming.entry, session.client_info)
        call = Call(message, incoming.listener)
        lease, answer = await server.open_session(call, session.hear, partial(self._forget, session))
        session.begin(lease)
        if "error" in answer:
            await server.close_session(lease)
            return Reply(answer)
        self._sessions[session.id] = session
        incoming.entry.mcp_session_id = session.id
        return Reply(answer, session.id)

    def _forget(self, session: Session) -> None:
        self._sessions.pop(session.id, None)
        session.end()


@asynccontextmanager
async def open_mcp_proxy(servers: McpServers) -> AsyncIterator[McpProxy]:
    proxy = McpProxy(servers)
    try:
        yield proxy
    finally:
        await proxy.close()


def _identifier(message: Message) -> Raw | None:
    identifier = message.get("id")
    return identifier if identifier is not None and bytes(identifier)[:1] in b'"-0123456789' else None


def _describe(entry: Entry, method: str, message: Message) -> None:
    entry.method = method or "(answer)"
    if method == "tools/call":
        entry.tool_name = mcp.tool_name(message.get("params"))


def _introduce(entry: Entry, client_info: dict[str, str]) -> None:
    """What the client's headers say stands above what its `initialize` said."""
    said = {name: value for name, value in entry.client_info.items() if value}
    entry.client_info = {**client_info, **said}


def _client_info(message: Message) -> dict[str, str]:
    return _named(mcp.member(message.get("params"), "clientInfo"))


def _named(info: Any) -> dict[str, str]:
    if not isinstance(info, dict):
        return {}
    wanted = {"client_name": info.get("name"), "client_version": info.get("version")}
    return {name: value for name, value in wanted.items() if isinstance(value, str)}

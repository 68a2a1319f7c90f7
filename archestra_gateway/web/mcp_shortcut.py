"""Calls within an MCP session that take the shortcut of their connection."""

from typing import cast

import attrs
from aiohttp import hdrs, web
from multidict import CIMultiDict

from archestra_gateway import keys
from archestra_gateway.errors import GatewayError
from archestra_gateway.protocol import mcp
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.services import mcp_proxy
from archestra_gateway.services.mcp_proxy import Incoming, McpProxy
from archestra_gateway.services.mcp_request_log import Entry, RequestLog
from archestra_gateway.web import envelope, guard, logged
from archestra_gateway.web.connection import Connection
from archestra_gateway.web.mcp_answer import SESSION_ID, can_stream
from archestra_gateway.web.mcp_exchange import modern_headers, record, status
from archestra_gateway.web.shortcut import Begin
from archestra_gateway.web.whole_answer import head_of, pieces


def prepare(request: web.Request, server: str) -> None:
    """What looks like this request may take the shortcut, if it is of a session."""
    version = request.headers.get("MCP-Protocol-Version", mcp.SESSION_VERSIONS[0])
    if SESSION_ID in request.headers and version in mcp.SESSION_VERSIONS:
        cast(Connection, request.protocol).shortcut.wanted = _beginning(request, server)


def found(request: web.Request) -> "PlainCall | None":
    """The call that this request made before it was handed over; from here on it is the caller's."""
    call = cast("PlainCall | None", cast(Connection, request.protocol).shortcut.found())
    if call is not None:
        call.entry.request_id = request[keys.REQUEST_ID]
    return call


def _beginning(request: web.Request, server: str) -> Begin:
    app, connection = request.app, cast(Connection, request.protocol)
    proxy, clients, log = app[keys.MCP_PROXY], app[keys.KNOWN_CLIENTS], app[keys.REQUEST_LOG]
    may_come_in = guard.looks_like(request)
    caller, length = logged.caller_of(request.headers), request.content_length
    session_id, protocol_headers = request.headers[SESSION_ID], modern_headers(request.headers)
    is_listening = can_stream(request.headers)

    def begin(body: bytes) -> PlainCall | None:
        nonlocal caller, length
        if not may_come_in(len(body)):
            return None
        if length != len(body):
            length = len(body)
            headers = CIMultiDict(caller.headers)
            headers[hdrs.CONTENT_LENGTH] = str(length)
            caller = caller._replace(headers=headers)
        entry = logged.entry_of(caller, clients, envelope.new_request_id(), "mcp", server)
        call = PlainCall(connection, proxy, log, entry, body)
        incoming = Incoming(server, session_id, protocol_headers, body, None, entry)
        begun = proxy.begin(incoming, call.hear if is_listening else None)
        return None if begun is None else call.expecting(incoming, begun)

    return begin


@attrs.define(eq=False)
class PlainCall:
    """Answered here, unless the server speaks before the answer or a GatewayError comes in its place."""

    _connection: Connection
    _proxy: McpProxy
    _log: RequestLog
    entry: Entry
    _body: bytes
    heard: list[Message] = attrs.field(factory=list)
    incoming: Incoming = attrs.field(init=False)
    begun: mcp_proxy.Begun = attrs.field(init=False)
    _is_ours: bool = True

    def expecting(self, incoming: Incoming, begun: mcp_proxy.Begun) -> "PlainCall":
        self.incoming, self.begun = incoming, begun
        assert begun.call.answer is not None  # noqa: S101
        begun.call.answer.add_done_callback(self._answered)
        return self

    def hear(self, message: Message) -> bool:
        """It becomes the first event of a stream."""
        self.heard.append(message)
        self._connection.hand_over()
        return True

    def going_on(self, incoming: Incoming) -> Incoming:
        """The same call, which `incoming` hears from here on."""
        if incoming.listener is not None:
            for message in self.heard:
                incoming.listener(message)
        return incoming._replace(begun=self.begun)

    def leave(self) -> None:
        self._is_ours = False

    async def see_through(self) -> None:
        alone = self.incoming._replace(begun=self.begun)
        reply = await self._proxy.receive(alone)
        record(self._log, self.entry, self._body, reply)

    def _answered(self, _: object) -> None:
        if not self._is_ours:
            return
        try:
            reply = self._proxy.conclude(self.begun, self.entry)
        except GatewayError:
            self._connection.hand_over()
            return
        self.begun.call.listener = None  # a circle, which would keep the answer until it is collected
        self._connection.shortcut.done()
        text = record(self._log, self.entry, self._body, reply)
        head = head_of(text, status(reply), self.entry.request_id, {SESSION_ID: self.begun.session.id})
        for piece in pieces(head, text):
            self._connection.write(piece)

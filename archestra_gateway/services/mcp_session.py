"""One MCP session of one client: whom the server talks to when it speaks unasked."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from archestra_gateway.protocol import jsonrpc, mcp
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.pool import Lease
from archestra_gateway.upstreams.server import Server

BACKLOG = 1000
"""Messages that wait for a client's GET; the oldest go first."""


class Session:
    """Hears its own upstream; `client_info` is what the client's `initialize` said."""

    def __init__(self, identifier: str, server: Server, client_info: dict[str, str]) -> None:
        self.id = identifier
        self.server = server
        self.client_info = client_info
        self.lease: Lease
        self._has_ended = False
        self._calls: dict[bytes, Call] = {}
        self._asked: set[bytes] = set()
        self._backlog: deque[Message] = deque(maxlen=BACKLOG)
        self._arrived = asyncio.Event()
        self._stream = 0
        self._is_streaming = False

    def begin(self, lease: Lease) -> None:
        self.lease = lease
        self.server.listeners.add(self.hear_about_server)

    def end(self) -> None:
        self._has_ended = True
        self.server.listeners.discard(self.hear_about_server)
        self._arrived.set()

    async def request(self, call: Call) -> Message:
        """The server's answer. A `notifications/cancelled` of the client ends it too."""
        key = bytes(call.message.get("id", b""))
        self._calls[key] = call
        try:
            return await self.lease.upstream.call(call)
        finally:
            if self._calls.get(key) is call:
                del self._calls[key]

    async def notify(self, message: Message) -> None:
        self.lease.upstream.dialogue.touch()
        if mcp.method(message) == mcp.CANCELLED:
            await self._cancel(message)
        else:
            await self.lease.upstream.send(message)

    async def answer(self, message: Message) -> None:
        """What the client says to a question of the server; an answer that nobody waits for is dropped."""
        key = bytes(message["id"])
        if key in self._asked:
            self._asked.discard(key)
            await self.lease.upstream.send(message)

    def hear(self, message: Message) -> None:
        """Over stdio nothing says which call made the server speak; the newest that can listen may be it."""
        if mcp.method(message) in mcp.FOR_EVERY_SESSION:
            self.server.broadcast(message)
            return
        if "id" in message and len(self._asked) < BACKLOG:
            self._asked.add(bytes(message["id"]))
        if not self._tell_newest_call(message):
            self._keep(message)

    def hear_about_server(self, message: Message) -> None:
        if self._is_streaming or not self._tell_newest_call(message):
            self._keep(message)

    async def messages(self) -> AsyncIterator[Message]:
        """What goes down the client's GET; a newer GET ends this one."""
        self._stream += 1
        mine = self._stream
        self._arrived.set()
        self.lease.pins += 1
        self._is_streaming = True
        try:
            while mine == self._stream and not self._has_ended:
                if self._backlog:
                    yield self._backlog.popleft()
                else:
                    self._arrived.clear()
                    await self._arrived.wait()
        finally:
            self.lease.pins -= 1
            self.lease.upstream.dialogue.touch()
            if mine == self._stream:
                self._is_streaming = False

    def _keep(self, message: Message) -> None:
        self._backlog.append(message)
        self._arrived.set()

    def _tell_newest_call(self, message: Message) -> bool:
        return any(
            call.listener is not None and call.listener(message) for call in reversed(self._calls.values())
        )

    async def _cancel(self, message: Message) -> None:
        call = self._calls.get(bytes(mcp.request_id(message.get("params")) or b""))
        if call is None:
            return
        number = jsonrpc.raw(call.number)
        params = mcp.with_member(message.get("params"), "requestId", number)
        await self.lease.upstream.send({**message, "params": params})
        call.settle(jsonrpc.error(None, mcp.REQUEST_CANCELLED, "The client cancelled the request"))

"""One MCP session of one client: whom the server talks to when it speaks unasked."""

from collections.abc import AsyncIterator, Sequence

from archestra_gateway.protocol import mcp
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.services.mcp_outbox import BACKLOG, Calls, Outbox
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.pool import Lease
from archestra_gateway.upstreams.server import Server


class Session:
    """Hears its own upstream; `client_info` is what the client's `initialize` said."""

    def __init__(self, identifier: str, server: Server, client_info: dict[str, str]) -> None:
        self.id = identifier
        self.server = server
        self.client_info = client_info
        self.lease: Lease
        self._calls = Calls()
        self._outbox = Outbox()
        self._asked: set[bytes] = set()

    def open(self, lease: Lease) -> None:
        self.lease = lease
        self.server.listeners.add(self.hear_about_server)

    def end(self) -> None:
        self._outbox.end()
        self.server.listeners.discard(self.hear_about_server)

    async def request(self, call: Call) -> Message:
        """The server's answer. A `notifications/cancelled` of the client ends it too."""
        return await self._calls.ask(self.lease.upstream, call)

    def begin(self, call: Call) -> bool:
        """Whether it could be sent at once; `request` waits for its answer, or `conclude` takes it."""
        return self._calls.begin(self.lease.upstream, call)

    def conclude(self, call: Call) -> Message:
        """The answer, which has come. Raises the GatewayError that came in its place."""
        return self._calls.conclude(self.lease.upstream, call)

    async def notify(self, message: Message) -> None:
        self.lease.upstream.dialogue.touch()
        if mcp.method(message) == mcp.CANCELLED:
            await self._calls.cancel(message)
        else:
            await self.lease.upstream.send(message)

    async def answer(self, message: Message) -> None:
        """What the client says to a question of the server; an answer that nobody waits for is dropped."""
        key = bytes(message["id"])
        if key in self._asked:
            self._asked.discard(key)
            await self.lease.upstream.send(message)

    def hear(self, message: Message, causes: Sequence[Call]) -> None:
        """The call that made the server speak hears it, where it can."""
        if mcp.method(message) in mcp.FOR_EVERY_SESSION:
            self.server.broadcast(message)
            return
        if "id" in message and len(self._asked) < BACKLOG:
            self._asked.add(bytes(message["id"]))
        if not any(call.tell(message) for call in causes):
            self.hear_about_server(message)

    def hear_about_server(self, message: Message) -> None:
        """What no call of the client caused."""
        if self._outbox.is_streaming or not self._calls.tell_newest(message):
            self._outbox.put(message)

    async def messages(self) -> AsyncIterator[Message]:
        """What goes down the client's GET; a newer GET ends this one."""
        self.lease.pins += 1
        try:
            async for message in self._outbox.messages():
                yield message
        finally:
            self.lease.pins -= 1
            self.lease.upstream.dialogue.touch()

"""What waits for a client's open stream, and which calls of the client are on their way."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from archestra_gateway.protocol import jsonrpc, mcp
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.upstream import Upstream

BACKLOG = 1000
"""Messages that wait for a client's GET; the oldest go first."""


class Outbox:
    def __init__(self) -> None:
        self.is_streaming = False
        self._backlog: deque[Message] = deque(maxlen=BACKLOG)
        self._arrived = asyncio.Event()
        self._has_ended = False
        self._stream = 0

    def put(self, message: Message) -> None:
        """News that wait already are not said twice."""
        if "id" in message or message not in self._backlog:
            self._backlog.append(message)
        self._arrived.set()

    def end(self) -> None:
        self._has_ended = True
        self._arrived.set()

    async def messages(self) -> AsyncIterator[Message]:
        """What goes down the client's GET; a newer GET ends this one."""
        self._stream += 1
        mine = self._stream
        self._arrived.set()
        self.is_streaming = True
        try:
            while mine == self._stream and not self._has_ended:
                if self._backlog:
                    yield self._backlog.popleft()
                else:
                    self._arrived.clear()
                    await self._arrived.wait()
        finally:
            if mine == self._stream:
                self.is_streaming = False


class Calls:
    """Calls of one client, under the ids that it gave them."""

    def __init__(self) -> None:
        self._running: dict[bytes, tuple[Call, Upstream | None]] = {}

    def __len__(self) -> int:
        return len(self._running)

    async def ask(self, upstream: Upstream, call: Call) -> Message:
        """The server's answer. `cancel` ends it too."""
        with self.expecting(call):
            self._running[_key(call)] = call, upstream
            return await upstream.call(call)

    def begin(self, upstream: Upstream, call: Call) -> bool:
        """Whether it could be sent at once; `ask` waits for its answer, or `conclude` takes it."""
        if not upstream.begin_call(call):
            return False
        self._running[_key(call)] = call, upstream
        return True

    def conclude(self, upstream: Upstream, call: Call) -> Message:
        """The answer, which has come. Raises the GatewayError that came in its place."""
        self._forget(call)
        return upstream.dialogue.conclude(call)

    @contextmanager
    def expecting(self, call: Call) -> Iterator[None]:
        """`cancel` finds it, though nobody is there yet who could be asked."""
        self._running[_key(call)] = call, None
        try:
            yield
        finally:
            self._forget(call)

    def tell_newest(self, message: Message) -> bool:
        """Whether a running call could be told."""
        return any(call.tell(message) for call, _ in reversed(self._running.values()))

    def _forget(self, call: Call) -> None:
        if self._running.get(_key(call), (None,))[0] is call:
            del self._running[_key(call)]

    async def cancel(self, message: Message) -> None:
        """The client's `notifications/cancelled` of one of these calls; of any other, nothing."""
        found = self._running.get(bytes(mcp.request_id(message.get("params")) or b""))
        if found is None:
            return
        call, upstream = found
        if upstream is not None and call.number:
            params = mcp.with_member(message.get("params"), "requestId", jsonrpc.raw(call.number))
            await upstream.send({**message, "params": params})
        call.settle(jsonrpc.error(None, mcp.REQUEST_CANCELLED, "The client cancelled the request"))


def _key(call: Call) -> bytes:
    return bytes(call.message.get("id", b""))

"""The answer to one posted MCP message: JSON, or a stream of events when something comes before it."""

import asyncio
from collections import deque
from collections.abc import Mapping

from aiohttp import hdrs, web

from archestra_gateway import keys
from archestra_gateway.protocol import jsonrpc
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.web.sse import EventStream
from archestra_gateway.web.whole_answer import WholeAnswer

SESSION_ID = "Mcp-Session-Id"
MESSAGE = "message"
MOST_WAITING = 10_000
"""Messages that wait for a client that reads slowly."""


def can_stream(headers: Mapping[str, str]) -> bool:
    return "text/event-stream" in headers.get(hdrs.ACCEPT, "")


class McpAnswer:
    """`push` is called by whoever speaks before the answer; the stream opens with the first such message."""

    def __init__(self, request: web.Request) -> None:
        self.can_stream = can_stream(request.headers)
        self._request = request
        self._waiting: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._is_whole = False
        self._is_closed = False
        self._streaming: asyncio.Task[web.StreamResponse] | None = None

    def push(self, message: Message) -> bool:
        """False when the client can not hear it any more, or does not read what waits for it."""
        if self._is_closed or len(self._waiting) >= MOST_WAITING:
            return False
        self._put(message)
        if self._streaming is None:
            self._streaming = asyncio.create_task(self._stream())
        return True

    def close(self) -> None:
        """Nobody hears more of it."""
        self._is_closed = True
        if self._streaming is not None:
            self._streaming.cancel()

    async def finish(
        self, message: Message | None, text: bytes, status: int, session_id: str | None
    ) -> web.StreamResponse:
        """`text` is `message`, encoded; no message is 202."""
        if message is not None and self._streaming is not None:
            self._is_whole = True
            self._put(message)
            return await self._streaming
        headers = {} if session_id is None else {SESSION_ID: session_id}
        return WholeAnswer(text, status, headers)

    def _put(self, message: Message) -> None:
        self._waiting.append(message)
        self._arrived.set()

    async def _stream(self) -> web.StreamResponse:
        keep_alive = self._request.app[keys.CONFIG].mcp.keep_alive
        async with EventStream(self._request, keep_alive=keep_alive) as stream:
            while self._waiting or not self._is_whole:
                if self._waiting:
                    await stream.send(jsonrpc.line(self._waiting.popleft()).rstrip(), MESSAGE)
                else:
                    self._arrived.clear()
                    await self._arrived.wait()
        self._is_closed = True
        return stream.response

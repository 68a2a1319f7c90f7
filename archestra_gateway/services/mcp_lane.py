"""A session with a server that carries one call at a time, so that it is clear whom the server asks."""

import asyncio
import itertools
from collections.abc import Callable, Sequence

from msgspec import Raw

from archestra_gateway.errors import UpstreamError
from archestra_gateway.protocol import eras, jsonrpc, mcp
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.services.mcp_modern_request import LOG_MESSAGE
from archestra_gateway.upstreams.dialogue import Call, Listener
from archestra_gateway.upstreams.pool import Lease
from archestra_gateway.upstreams.server import Server
from archestra_gateway.upstreams.tools import error_text

GIVEN_UP = {"code": mcp.REQUEST_CANCELLED, "message": "The client gave the call up"}


class Lane:
    """`questions` are what the server asked and was not answered yet, under keys of ours."""

    def __init__(self, server: Server, on_end: Callable[["Lane"], None]) -> None:
        self.server = server
        self.has_ended = False
        self.questions: dict[str, Message] = {}
        self._call: Call | None = None
        self._task: asyncio.Task[Message] | None = None
        self._on_end = on_end
        self._lease: Lease
        self._changed = asyncio.Event()
        self._numbers = itertools.count(1)
        self._can_log = False
        self._level: str | None = None
        self._wanted_level: str | None = None

    async def open(self, opening: Raw) -> None:
        """`opening` is what `initialize` says. Raises GatewayError."""
        call = Call(jsonrpc.request(0, mcp.INITIALIZE, opening), is_own=True)
        self._lease, answer = await self.server.open_session(call, self._hear, self._end)
        if "result" not in answer:
            await self.server.close_session(self._lease)
            raise UpstreamError(
                f"The MCP server {self.server.name} refused to initialize: {error_text(answer)}",
                name=self.server.name,
            )
        capabilities = mcp.member(answer["result"], "capabilities")
        self._can_log = isinstance(capabilities, dict) and "logging" in capabilities
        await self._lease.upstream.send(jsonrpc.notification(mcp.INITIALIZED))

    async def begin(self, message: Message, listener: Listener | None, level: str | None) -> None:
        """The call runs from here on; without a `level` nothing of the log is heard."""
        self._wanted_level = level
        if level is not None and level != self._level and self._can_log:
            self._level = level
            asked = jsonrpc.request(0, "logging/setLevel", {"level": level})
            await self._lease.upstream.call(Call(asked, is_own=True))
        self._call = Call(message, listener)
        self._task = asyncio.create_task(self._lease.upstream.call(self._call))
        self._task.add_done_callback(lambda _: self._changed.set())

    async def go_on(self, message: Message, listener: Listener | None, responses: Message) -> None:
        """The retry: from here on it is the one that hears, and what it answers goes to the server."""
        call = self._running
        call.listener = listener
        call.token = mcp.meta(message.get("params")).get("progressToken")
        for key in [key for key in self.questions if key in responses]:
            question = self.questions.pop(key)
            answer = {"jsonrpc": jsonrpc.VERSION, "id": question["id"], "result": responses[key]}
            await self._lease.upstream.send(answer)
        if not self.questions:
            call.allow(self.server.limits.request_timeout)

    async def next_turn(self) -> Message | None:
        """The answer, or nothing: the server has a question first. Raises GatewayError."""
        while self._task is None or not self._task.done():
            if self.questions:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._task.result()

    def rest(self) -> None:
        """Nobody hears the call until it goes on."""
        self._running.listener = None

    def requests(self) -> dict[str, Message]:
        """The questions as an InputRequiredResult has them."""
        return {key: eras.input_request(question) for key, question in self.questions.items()}

    async def close(self) -> None:
        """The server hears that nobody waits any more, and is not spoken to again."""
        if not self.has_ended:
            for question in self.questions.values():
                refusal = {"jsonrpc": jsonrpc.VERSION, "id": question["id"], "error": jsonrpc.raw(GIVEN_UP)}
                self._lease.upstream.dialogue.tell(refusal)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.server.close_session(self._lease)

    @property
    def _running(self) -> Call:
        assert self._call is not None  # noqa: S101
        return self._call

    def _end(self) -> None:
        self.has_ended = True
        self._on_end(self)

    def _hear(self, message: Message, causes: Sequence[Call]) -> None:
        method = mcp.method(message)
        if method in mcp.FOR_EVERY_SESSION:
            self.server.broadcast(message)
        elif "id" in message:
            self._hear_question(method, message)
        elif method == mcp.CANCELLED:
            self._forget_question(mcp.request_id(message.get("params")))
        elif method == LOG_MESSAGE and causes and self._is_wanted(message):
            self._running.tell(message)

    def _hear_question(self, method: str, message: Message) -> None:
        if method in eras.ASKED_FOR:
            self.questions[f"question-{next(self._numbers)}"] = message
            if self._call is not None:
                self._call.allow(self.server.limits.input_timeout)
            self._changed.set()
        elif method == "ping":
            self._lease.upstream.dialogue.tell(jsonrpc.result(message["id"], {}))
        else:
            refusal = f"Clients of 2026-07-28 can not be asked for {method}"
            error = jsonrpc.error(message["id"], jsonrpc.METHOD_NOT_FOUND, refusal)
            self._lease.upstream.dialogue.tell(error)

    def _forget_question(self, identifier: Raw | None) -> None:
        self.questions = {key: each for key, each in self.questions.items() if each["id"] != identifier}

    def _is_wanted(self, message: Message) -> bool:
        level = mcp.member(message.get("params"), "level")
        levels = mcp.LOG_LEVELS
        return (
            self._wanted_level is not None
            and level in levels
            and levels.index(level) >= levels.index(self._wanted_level)
        )

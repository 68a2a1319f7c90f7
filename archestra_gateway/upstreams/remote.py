"""An MCP server somewhere else: one session there, begun again when the server has forgotten it."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Literal, Protocol

from archestra_gateway.config import McpConfig
from archestra_gateway.errors import (
    AuthorizationNeeded,
    GatewayError,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from archestra_gateway.protocol import jsonrpc, mcp
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.protocol.modern_headers import is_modern
from archestra_gateway.upstreams.backoff import Pauses
from archestra_gateway.upstreams.dialogue import Call, Dialogue
from archestra_gateway.upstreams.http import StreamableHttp
from archestra_gateway.upstreams.http_requests import NotSpoken, Requests, SessionGone
from archestra_gateway.upstreams.memory import Memory
from archestra_gateway.upstreams.sse import OldSse

FAREWELL = 2.0
TAIL = 1.0
"""Seconds that the rest of an answer has to come, after what was waited for."""


Spoken = Literal["http", "sse"]


class Transport(Protocol):
    """How messages travel; `name` is the configuration's word for it."""

    name: Spoken
    knows_causes: bool

    @property
    def keeps_session(self) -> bool: ...

    async def begin(self, call: Call, text: bytes) -> None: ...
    def agreed(self, version: str | None) -> None: ...
    async def deliver(self, call: Call | None, text: bytes) -> None: ...
    def listen(self) -> None: ...
    async def end(self) -> None: ...


MakeTransport = Callable[[Requests, Dialogue, Callable[[], object]], Transport]


class Remote:
    """`spoken` is what the server spoke the last time; `renewed` hears that the session was begun again."""

    pid = 0
    sandbox = "none"

    def __init__(
        self, limits: McpConfig, requests: Requests, spoken: Spoken | None, renewed: Callable[[], object]
    ) -> None:
        self.name = requests.name
        self.dialogue = Dialogue(limits, self._tell)
        self.has_ended = False
        self._transport: Transport
        self._requests = requests
        self._transports: list[Transport] = [
            make(requests, self.dialogue, self._lost)
            for make in _candidates(requests.server.transport, spoken)
        ]
        self._renewed = renewed
        self._memory = Memory()
        self._use(self._transports[0])
        self._epoch = 0
        self._reopening: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def keeps_session(self) -> bool:
        return self._transport.keeps_session

    @property
    def spoken(self) -> Spoken:
        """The transport that the server speaks, as far as is known."""
        return self._transport.name

    def begin_call(self, call: Call) -> bool:
        return False

    async def call(self, call: Call) -> Message:
        is_opening = mcp.method(call.message) == mcp.INITIALIZE
        if is_opening:
            self._memory.opening = call.message
        call.is_cut = is_modern(call.message)
        deliver = self._begin if is_opening else self._deliver
        answer = await self.dialogue.ask(call, partial(self._until_answered, call, deliver))
        if is_opening:
            self._has_begun(answer)
        else:
            self._memory.note(call.message, answer)
        return answer

    async def send(self, message: Message) -> None:
        """Said again in a new session, unless it is about something that only the old one knew."""
        text = jsonrpc.line(message)
        method = mcp.method(message)
        is_lasting = method.startswith("notifications/") and method != mcp.CANCELLED
        try:
            async with asyncio.timeout(self.dialogue.limits.request_timeout):
                await (self._deliver if is_lasting else self._transport.deliver)(None, text)
        except TimeoutError as error:
            raise UpstreamTimeout(
                f"The MCP server {self.name} does not take what it is sent", name=self.name
            ) from error
        if method == mcp.INITIALIZED:
            self._transport.listen()

    async def stop(self) -> None:
        """Ends the session there, when the server has a moment for it."""
        self.has_ended = True
        self.dialogue.end(UpstreamUnavailable(f"The MCP server {self.name} was stopped", name=self.name))
        for task in (*self._tasks, *filter(None, [self._reopening])):
            task.cancel()
        with contextlib.suppress(TimeoutError, GatewayError):
            async with asyncio.timeout(FAREWELL):
                await self._transport.end()

    async def _until_answered(
        self, call: Call, deliver: Callable[[Call, bytes], Coroutine[Any, Any, None]], text: bytes
    ) -> None:
        """What comes after the answer is read in the background, so that the connection can be kept."""
        delivery = asyncio.create_task(deliver(call, text))
        assert call.answer is not None  # noqa: S101
        try:
            await asyncio.wait((delivery, call.answer), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            delivery.cancel()
            raise
        if not call.is_answered:
            await delivery
        elif not delivery.done():
            self._spawn(_finish(delivery))
        elif not delivery.cancelled():
            delivery.exception()  # the answer had come before

    async def _begin(self, call: Call, text: bytes) -> None:
        """With the first transport that the server seems to speak."""
        refusals: list[NotSpoken] = []
        for transport in self._transports:
            try:
                self._use(transport)
                await transport.begin(call, text)
                return
            except NotSpoken as error:
                refusals.append(error)
        self._use(self._transports[0])
        raise refusals[0]

    def _use(self, transport: Transport) -> None:
        self._transport = transport
        self.dialogue.knows_causes = transport.knows_causes

    def _has_begun(self, answer: Message) -> None:
        version = mcp.member(answer.get("result"), "protocolVersion")
        self._transport.agreed(version if isinstance(version, str) else None)
        self._epoch += 1

    async def _deliver(self, call: Call | None, text: bytes) -> None:
        if self._reopening is not None:
            await asyncio.shield(self._reopening)
        epoch = self._epoch
        try:
            await self._transport.deliver(call, text)
        except SessionGone:
            await self._open_again(epoch)
            if call is not None and await self.dialogue.refuses(call):
                return
            try:
                await self._transport.deliver(call, text)
            except SessionGone as error:
                raise UpstreamError(
                    f"The MCP server {self.name} forgets its sessions at once", name=self.name
                ) from error

    async def _open_again(self, epoch: int) -> None:
        """Once, however many found the session gone; whoever leaves meanwhile does not end it."""
        if self._epoch != epoch:
            return
        if self._reopening is None:
            self._reopening = asyncio.create_task(self._open_now())
            self._reopening.add_done_callback(self._has_reopened)
        await asyncio.shield(self._reopening)

    async def _open_now(self) -> None:
        transport, opening = self._transport, self._memory.opening
        if opening is None or self.has_ended:
            return
        answer = await self._ask(opening, transport.begin)
        if "result" not in answer:
            raise UpstreamError(f"The MCP server {self.name} refused to initialize again", name=self.name)
        self._has_begun(answer)
        await transport.deliver(None, jsonrpc.line(jsonrpc.notification(mcp.INITIALIZED)))
        transport.listen()
        for message in self._memory.again():
            with contextlib.suppress(GatewayError):
                await self._ask(message, transport.deliver)
        self.dialogue.renewed()
        self._renewed()

    async def _ask(
        self, message: Message, deliver: Callable[[Call, bytes], Coroutine[Any, Any, None]]
    ) -> Message:
        call = Call(message, is_own=True, is_use=False)
        return await self.dialogue.ask(call, partial(self._until_answered, call, deliver))

    def _has_reopened(self, task: "asyncio.Task[None]") -> None:
        self._reopening = None
        if not task.cancelled():
            task.exception()  # those who waited have it

    def _lost(self) -> None:
        """The transport saw that the session is over."""
        if not self.has_ended:
            self._spawn(self._come_back(self._epoch))

    async def _come_back(self, epoch: int) -> None:
        pauses, asked = Pauses(), None
        while self._epoch == epoch:
            pause = pauses.next(asked)
            self._requests.health.will_try(pause)
            await asyncio.sleep(pause)
            try:
                await self._open_again(epoch)
            except AuthorizationNeeded:
                return  # the next call after the login will
            except GatewayError as error:
                self._requests.health.failed(error)
                asked = error.details.get("retry_after")

    def _tell(self, message: Message) -> None:
        self._spawn(self._try_to_send(message))

    async def _try_to_send(self, message: Message) -> None:
        with contextlib.suppress(GatewayError):
            await self.send(message)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _finish(delivery: "asyncio.Task[None]") -> None:
    with contextlib.suppress(TimeoutError, GatewayError):
        async with asyncio.timeout(TAIL):
            await delivery


def _candidates(configured: str, spoken: Spoken | None) -> list[MakeTransport]:
    """What to try, the likeliest first."""
    if configured == "sse":
        return [OldSse]
    return [OldSse, StreamableHttp] if spoken == "sse" else [StreamableHttp, OldSse]

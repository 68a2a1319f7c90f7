"""One conversation with one MCP server: our own ids on the wire, the client's in its answers. No I/O."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol, cast

import attrs
from msgspec import Raw

from archestra_gateway.config import McpConfig
from archestra_gateway.errors import GatewayError, UpstreamTimeout
from archestra_gateway.protocol import jsonrpc, mcp
from archestra_gateway.protocol.jsonrpc import Message

Listener = Callable[[Message], object]
"""Says False when nobody hears it any more."""

Write = Callable[[bytes], Awaitable[None]]


@attrs.define(eq=False)
class Call:
    """One request on its way; `listener` hears its progress, `is_own` marks a question of the gateway's.

    `was_asked` gets what a server asks in the middle, where nobody can answer. `headers` are for HTTP.
    `is_endless`: it waits as long as it takes. `is_cut`: to leave its stream is cancel enough. One that is no
    use of the server (`is_use`) does not keep it from being idle.
    """

    message: Message
    listener: Listener | None = None
    is_own: bool = False
    was_asked: Listener = lambda message: None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    is_endless: bool = False
    is_cut: bool = False
    is_use: bool = True
    is_begun: bool = False
    """It was sent before anybody waits for its answer."""
    number: int = 0
    token: Raw | None = None
    ends_at: float = 0.0
    patience: asyncio.Timeout | None = None
    answer: asyncio.Future[Message] | None = None
    settled: Message | None = None
    """Its answer, known before it was sent."""

    @property
    def is_answered(self) -> bool:
        return self.answer is not None and self.answer.done()

    def tell(self, message: Message) -> bool:
        """Whether who called can hear what comes before the answer."""
        return self.listener is not None and bool(self.listener(message))

    def allow(self, seconds: float) -> None:
        """So long from now, and never longer than its end."""
        if self.patience is not None and not self.patience.expired():
            now = asyncio.get_running_loop().time()
            self.patience.reschedule(min(now + seconds, self.ends_at))

    def settle(self, answer: Message) -> None:
        if self.answer is None:
            self.settled = answer
        elif not self.answer.done():
            self.answer.set_result(answer)

    def fail(self, error: GatewayError) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(error)


Audience = Callable[[Message, Sequence[Call]], object]
"""Gets what a server says unasked, and the calls that may have made it speak, the likeliest first."""


class Gate(Protocol):
    """Stands before what clients ask about a server's tools."""

    def concerns(self, method: Raw) -> bool: ...

    async def pass_on(self, call: Call, ask: Callable[[Call], Awaitable[Message]]) -> Message: ...

    async def refusal(self, call: Call) -> Message | None: ...

    async def look(self) -> None: ...

    async def tools(self) -> list[Raw]: ...

    async def saw(self, tools: Iterable[Raw]) -> list[Raw]: ...

    def changed(self) -> None: ...


@attrs.define(eq=False)
class Dialogue:
    """`on_message` gets what is neither an answer nor a call's progress; `tell` speaks without waiting.

    `knows_causes` where the transport says which call made the server speak. `held` are calls that wait for
    a client and not for the server.
    """

    limits: McpConfig
    tell: Listener
    knows_causes: bool = False
    on_message: Audience = lambda message, causes: None
    gate: Gate | None = None
    served: int = 0
    last_used: float = attrs.field(factory=time.monotonic)
    held: int = 0
    _calls: dict[int, Call] = attrs.field(factory=dict)
    _endless: int = 0
    _last_number: int = 0
    _end: GatewayError | None = None

    @property
    def in_flight(self) -> int:
        return len(self._calls) - self._endless + self.held

    def touch(self) -> None:
        """It is in use, though nothing waits for an answer."""
        self.last_used = time.monotonic()

    async def ask(self, call: Call, write: Write) -> Message:
        """The answer, with the client's id. A silent server, or one whose caller left, hears a cancel."""
        if call.is_begun:
            return await self._answer(call, b"", write)
        if self._is_gated(call):
            return await cast(Gate, self.gate).pass_on(call, lambda call: self._ask(call, write))
        return await self._ask(call, write)

    def begin(self, call: Call) -> bytes | None:
        """What is to be sent at once, to `ask` or `conclude` afterwards; None: it can only be asked."""
        if self._end is not None or self._is_gated(call):
            return None
        call.is_begun = True
        return self._begin(call)

    def conclude(self, call: Call) -> Message:
        """The answer, which has come, with the client's id. Raises the GatewayError that came instead."""
        assert call.answer is not None  # noqa: S101
        self._forget(call)
        return _with_id_of(call, call.answer.result())

    def renewed(self) -> None:
        """It goes on with a server that was started again."""
        if self.gate is not None:
            self.gate.changed()

    async def refuses(self, call: Call) -> bool:
        """Whether a call on its way is refused, and settled, now that the server may be another one."""
        if self.gate is None or call.is_own or (refusal := await self.gate.refusal(call)) is None:
            return False
        call.settle(refusal)
        return True

    async def _ask(self, call: Call, write: Write) -> Message:
        if self._end is not None:
            raise self._end
        if call.settled is not None:
            return _with_id_of(call, call.settled)
        return await self._answer(call, self._begin(call), write)

    async def _answer(self, call: Call, text: bytes, write: Write) -> Message:
        assert call.answer is not None  # noqa: S101
        try:
            seconds = None if call.is_endless else self.limits.request_timeout
            async with asyncio.timeout(seconds) as call.patience:
                if text:
                    await write(text)
                answer = await call.answer
        except TimeoutError as error:
            self._cancel(call, "timed out")
            raise self._too_late(call) from error
        except asyncio.CancelledError:
            self._cancel(call, "the client left")
            raise
        finally:
            self._forget(call)
        return _with_id_of(call, answer)

    def receive(self, text: bytes, causes: Sequence[Call] | None = None) -> None:
        """Deliver one message of the server; without `causes` any call may have caused it.

        Raises jsonrpc.ParseError or InvalidMessage.
        """
        message = jsonrpc.decode(text)
        if "method" in message:
            if message["method"] == _PROGRESS:
                self._report(message)
                return
            if message["method"] == _TOOLS_CHANGED and self.gate is not None:
                self.gate.changed()
            self.on_message(message, self._newest_first() if causes is None else causes)
            return
        identifier = message.get("id", jsonrpc.NULL)
        call = self._calls.get(_number(identifier))
        if call is not None and ("result" in message or "error" in message):
            self.served += not call.is_own
            call.settle(message)
        elif "result" not in message and "error" not in message:
            raise jsonrpc.InvalidMessage("neither a request nor an answer")

    def end(self, error: GatewayError) -> None:
        """Nothing more will come: everybody who waits, and whoever asks later, gets `error`."""
        self._end = error
        self.drop(error)

    def drop(self, error: GatewayError) -> None:
        """Everybody who waits now gets `error`."""
        for call in list(self._calls.values()):
            call.fail(error)

    def _newest_first(self) -> list[Call]:
        return [call for call in reversed(self._calls.values()) if not call.is_endless]

    def _is_gated(self, call: Call) -> bool:
        return self.gate is not None and not call.is_own and self.gate.concerns(call.message["method"])

    def _begin(self, call: Call) -> bytes:
        loop = asyncio.get_running_loop()
        call.answer = loop.create_future()
        call.ends_at = loop.time() + self.limits.max_request_timeout
        self._last_number += 1
        call.number = number = self._last_number
        self._calls[number] = call
        self._endless += call.is_endless
        message = {**call.message, "id": Raw(b"%d" % number)}
        params = message.get("params")
        if params is not None:
            call.token = mcp.meta(params).get("progressToken")
            if call.token is not None:
                message["params"] = mcp.with_progress_token(params, number)
        return jsonrpc.line(message)

    def _forget(self, call: Call) -> None:
        if self._calls.pop(call.number, None) is not None:
            self._endless -= call.is_endless
        if call.is_use:
            self.touch()

    def _report(self, message: Message) -> None:
        """Give progress to its call, which may now take longer; late progress is dropped."""
        params = message.get("params")
        call = self._calls.get(_number(mcp.progress_token(params) or jsonrpc.NULL))
        if call is None or call.token is None:
            return
        call.allow(self.limits.request_timeout)
        if call.listener is not None:
            call.listener({**message, "params": mcp.with_member(params, "progressToken", call.token)})

    def _cancel(self, call: Call, reason: str) -> None:
        if self._end is None and not call.is_cut and call.message["method"] != _INITIALIZE:
            params = {"requestId": call.number, "reason": reason}
            self.tell(jsonrpc.notification(mcp.CANCELLED, params))

    def _too_late(self, call: Call) -> UpstreamTimeout:
        method = mcp.method(call.message)
        return UpstreamTimeout(
            f"The MCP server did not answer `{method}` within {self.limits.request_timeout:g} seconds",
            method=method,
        )


_PROGRESS = jsonrpc.raw(mcp.PROGRESS)
_INITIALIZE = jsonrpc.raw(mcp.INITIALIZE)
_TOOLS_CHANGED = jsonrpc.raw(mcp.TOOLS_CHANGED)


def _with_id_of(call: Call, answer: Message) -> Message:
    return {**answer, "id": call.message.get("id", jsonrpc.NULL)}


def _number(text: Raw) -> int:
    """The wire id that `text` says; 0, which no call has, for anything else."""
    digits = bytes(text)
    return int(digits) if digits.isdigit() and len(digits) < 19 else 0

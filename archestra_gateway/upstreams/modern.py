"""A server of 2026-07-28 alone, for those who speak with sessions: as if it began with `initialize`."""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from msgspec import Raw

from archestra_gateway.errors import GatewayError, UpstreamError, UpstreamTimeout
from archestra_gateway.protocol import eras, jsonrpc, mcp, modern
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.protocol.modern_headers import is_modern
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.subscription import Subscription
from archestra_gateway.upstreams.upstream import Upstream

MOST_ROUNDS = 100
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0


Headers = Callable[[Message, bool], Awaitable[Mapping[str, str]]]
"""Gives a call's `Mcp-Param-*`; True when those that it gave before were wrong."""


class Refused(Exception):
    """The client will not or can not answer; `error` is why."""

    def __init__(self, error: Raw) -> None:
        super().__init__()
        self.error = error


class Modern:
    """Looks like a server of a session. Requests that are of 2026-07-28 already go through as they are."""

    keeps_session = True

    def __init__(self, wire: Upstream, opening: Raw, headers: Headers) -> None:
        """`opening` is what the client's `initialize` said."""
        self.wire = wire
        self._headers = headers
        self.dialogue = wire.dialogue
        capabilities = mcp.members(mcp.members(opening).get("capabilities"))
        self._envelope: dict[str, Any] = {
            mcp.VERSION_KEY: modern.VERSION,
            modern.CAPABILITIES_KEY: capabilities,
            modern.CLIENT_INFO_KEY: mcp.members(opening).get("clientInfo", modern.SERVER_INFO),
        }
        self._can = frozenset(capabilities)
        self._listener = wire.dialogue.on_message
        self._numbers = itertools.count(1)
        self._questions: dict[bytes, asyncio.Future[Message]] = {}
        self._subscription = Subscription(wire, self._envelope)

    @property
    def pid(self) -> int:
        return self.wire.pid

    @property
    def sandbox(self) -> str:
        return self.wire.sandbox

    @property
    def has_ended(self) -> bool:
        return self.wire.has_ended

    async def discover(self) -> Message:
        return await self._ask_server(Call(jsonrpc.request(0, modern.DISCOVER), is_own=True))

    async def begin(self, discovered: Raw) -> None:
        """From here on it is heard what the server says about itself."""
        self.dialogue.on_message = self._hear
        await self._subscription.begin(mcp.member(discovered, "capabilities") or {})

    def begin_call(self, call: Call) -> bool:
        return False

    async def call(self, call: Call) -> Message:
        if is_modern(call.message):
            return await self.wire.call(call)
        own = _OWN.get(mcp.method(call.message))
        if own is not None:
            return jsonrpc.result(call.message.get("id"), await own(self, call.message))
        return await self._until_settled(call)

    async def send(self, message: Message) -> None:
        """What a client says: answers to questions are for us, and notifications of sessions for nobody."""
        question = self._questions.get(bytes(message.get("id", b"")))
        if question is not None and not question.done():
            question.set_result(message)

    async def stop(self) -> None:
        await self._subscription.end()
        await self.wire.stop()

    async def _until_settled(self, call: Call) -> Message:
        """Its answer, or what a cancel settles it with, before or meanwhile."""
        if call.settled is not None:
            return {**call.settled, "id": call.message.get("id", jsonrpc.NULL)}
        call.number = next(self._numbers)
        call.answer = asyncio.get_running_loop().create_future()
        work = asyncio.create_task(self._carry(call))
        try:
            await asyncio.wait([work, call.answer], return_when=asyncio.FIRST_COMPLETED)
            answer = call.answer.result() if call.answer.done() else work.result()
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        return {**answer, "id": call.message.get("id", jsonrpc.NULL)}

    async def _carry(self, call: Call) -> Message:
        """Through all of its rounds."""
        retry: dict[str, Any] = {}
        pause = FIRST_PAUSE
        for _ in range(MOST_ROUNDS):
            answer = await self._ask_server(call, retry)
            if not eras.asks(answer):
                return eras.old_answer(answer, mcp.method(call.message))
            try:
                retry = await self._gather(call, answer)
            except Refused as refused:
                return {"jsonrpc": jsonrpc.VERSION, "error": refused.error}
            if "inputResponses" not in retry:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
        raise UpstreamError("The MCP server never has enough input")

    async def _ask_server(self, call: Call, retry: Mapping[str, Any] | None = None) -> Message:
        message = eras.with_envelope(call.message, self._envelope, retry or {})
        for anew in (False, True):
            headers = await self._headers(message, anew)
            answer = await self.wire.call(Call(message, call.listener, call.is_own, headers=headers))
            if mcp.member(answer.get("error"), "code") != modern.HeaderMismatch.number:
                break
        return answer

    async def _gather(self, call: Call, answer: Message) -> dict[str, Any]:
        """What goes with the next try. Raises Refused."""
        requests = eras.input_requests(answer)
        state = mcp.members(answer["result"]).get("requestState")
        retry = {} if state is None else {"requestState": state}
        if not requests:
            return retry
        self.dialogue.held += 1
        try:
            async with (
                asyncio.timeout(self.dialogue.limits.max_request_timeout),
                asyncio.TaskGroup() as group,
            ):
                asked = {
                    key: group.create_task(self._ask_client(call, each)) for key, each in requests.items()
                }
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        except TimeoutError as error:
            raise UpstreamTimeout("The client did not answer what the MCP server asked") from error
        finally:
            self.dialogue.held -= 1
        return {**retry, "inputResponses": {key: task.result() for key, task in asked.items()}}

    async def _ask_client(self, call: Call, request: Message) -> Raw:
        """The result. Raises Refused."""
        method = mcp.method(request)
        if eras.ASKED_FOR.get(method) not in self._can:
            raise Refused(_cannot(method))
        asked = eras.question(f"input-{next(self._numbers)}", request)
        identifier = asked["id"]
        question = self._questions[bytes(identifier)] = asyncio.get_running_loop().create_future()
        try:
            self._listener(asked, [call])
            answer = await question
        except asyncio.CancelledError:
            self._listener(jsonrpc.notification(mcp.CANCELLED, {"requestId": identifier}), [call])
            raise
        finally:
            del self._questions[bytes(identifier)]
        if "result" not in answer:
            raise Refused(answer.get("error", _cannot(method)))
        return Raw(bytes(answer["result"]))

    def _hear(self, message: Message, causes: Sequence[Call]) -> None:
        if self._subscription.concerns(message):
            for news in self._subscription.news(message):
                self._listener(news, [])
        elif "id" not in message:  # in this era servers send no requests
            self._listener(message, causes)

    async def _answer_ping(self, message: Message) -> Any:
        return {}

    async def _set_level(self, message: Message) -> Any:
        self._envelope[modern.LOG_LEVEL_KEY] = mcp.member(message.get("params"), "level")
        return {}

    async def _subscribe(self, message: Message) -> Any:
        await self._subscription.add(mcp.member(message.get("params"), "uri"))
        return {}

    async def _unsubscribe(self, message: Message) -> Any:
        await self._subscription.remove(mcp.member(message.get("params"), "uri"))
        return {}


def _cannot(method: str) -> Raw:
    missing: dict[str, Any] = {eras.ASKED_FOR.get(method, method): {}}
    return jsonrpc.raw(
        {
            "code": modern.MissingCapability.number,
            "message": f"The server asks for {method}, which the client did not declare",
            "data": {"requiredCapabilities": missing},
        }
    )


_OWN: Mapping[str, Callable[[Modern, Message], Awaitable[Any]]] = {
    "ping": Modern._answer_ping,
    "logging/setLevel": Modern._set_level,
    "resources/subscribe": Modern._subscribe,
    "resources/unsubscribe": Modern._unsubscribe,
}


async def open_modern(
    wire: Upstream, call: Call, name: str, headers: Headers
) -> tuple[Modern, Message] | None:
    """The server behind `wire` and its answer to the `initialize` in `call`; None when it has another era."""
    opened = Modern(wire, call.message.get("params", jsonrpc.NULL), headers)
    with contextlib.suppress(GatewayError):
        discovered = await opened.discover()
        if speaks_modern(discovered):
            told = eras.initialized(discovered["result"], call.message.get("params"), name)
            await opened.begin(discovered["result"])
            return opened, jsonrpc.result(call.message.get("id"), told)
    return None


def speaks_modern(discovered: Message) -> bool:
    """Whether the answer to `server/discover` says so."""
    supported = mcp.member(discovered.get("result"), "supportedVersions")
    return isinstance(supported, list) and modern.VERSION in supported

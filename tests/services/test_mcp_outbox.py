"""Calls of one client that are given up before anybody was asked."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
from msgspec import Raw

from archestra_gateway.config import McpConfig
from archestra_gateway.protocol import jsonrpc
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.services.mcp_outbox import Calls
from archestra_gateway.upstreams.dialogue import Call, Dialogue

CANCEL = jsonrpc.decode(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}')


class Closed:
    """A gate at which every call waits until it is opened."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.reached = asyncio.Event()

    def concerns(self, method: Raw) -> bool:
        return True

    async def pass_on(self, call: Call, ask: Callable[[Call], Awaitable[Message]]) -> Message:
        self.reached.set()
        await self.opened.wait()
        return await ask(call)


@attrs.define
class Silent:
    """A server that takes everything and answers nothing."""

    dialogue: Dialogue
    heard: list[bytes] = attrs.field(factory=list)

    async def call(self, call: Call) -> Message:
        return await self.dialogue.ask(call, self.write)

    async def send(self, message: Message) -> None:
        self.heard.append(jsonrpc.line(message))

    async def write(self, text: bytes) -> None:
        self.heard.append(text)


def asked() -> Call:
    return Call(jsonrpc.decode(b'{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{}}'))


def told(answer: Message) -> Any:
    return jsonrpc.value(answer["id"]), jsonrpc.value(jsonrpc.raw(answer["error"]))["code"]


async def test_a_call_that_is_cancelled_before_it_is_sent_is_answered_and_never_sent() -> None:
    calls, gate = Calls(), Closed()
    server: Any = Silent(Dialogue(McpConfig(), lambda message: None, gate=gate))  # type: ignore[arg-type]
    waiting = asyncio.create_task(calls.ask(server, asked()))
    await gate.reached.wait()

    await calls.cancel(CANCEL)
    gate.opened.set()

    assert told(await waiting) == ("a", -32800)
    assert (server.heard, len(calls)) == ([], 0)


async def test_a_call_that_is_cancelled_while_its_server_starts_is_never_sent() -> None:
    calls, call = Calls(), asked()
    server: Any = Silent(Dialogue(McpConfig(), lambda message: None))

    with calls.expecting(call):
        await calls.cancel(CANCEL)
        answer = await calls.ask(server, call)

    assert told(answer) == ("a", -32800)
    assert (server.heard, len(calls)) == ([], 0)

"""Calls that no server has yet."""

import asyncio

from archestra_gateway.protocol import jsonrpc
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.services.mcp_waiting import Waiting

CALL = jsonrpc.request(1, "tools/call")
ANSWER = jsonrpc.result(jsonrpc.raw(1), {})
CANCEL = jsonrpc.notification("notifications/cancelled", {"requestId": 1})


async def test_nothing_is_left_of_two_calls_with_one_id_whichever_is_first() -> None:
    waiting = Waiting()
    steps = {name: asyncio.Event() for name in ("first begins", "second begins", "first", "second")}

    async def answer(name: str) -> Message:
        await steps[f"{name} begins"].wait()
        with waiting.over():
            await steps[name].wait()
        return ANSWER

    calls = [
        asyncio.create_task(waiting.answer(CALL, answer("first"))),
        asyncio.create_task(waiting.answer(CALL, answer("second"))),
    ]
    for step in ("first begins", "second begins", "second", "first"):
        await asyncio.sleep(0)
        steps[step].set()
    assert await asyncio.gather(*calls) == [ANSWER, ANSWER]
    assert len(waiting) == 0


async def test_a_cancel_ends_what_waits_and_leaves_what_a_server_has() -> None:
    waiting = Waiting()
    has_server = asyncio.Event()

    async def waits() -> Message:
        await asyncio.sleep(60)
        return ANSWER

    async def is_answered() -> Message:
        with waiting.over():
            await has_server.wait()
        return ANSWER

    stays = asyncio.create_task(waiting.answer(CALL, is_answered()))
    await asyncio.sleep(0)
    assert not waiting.cancel(CANCEL)

    goes = asyncio.create_task(waiting.answer(CALL, waits()))
    await asyncio.sleep(0)
    assert waiting.cancel(CANCEL)
    assert b"cancelled" in bytes((await goes)["error"])
    has_server.set()
    assert await stays == ANSWER
    assert len(waiting) == 0

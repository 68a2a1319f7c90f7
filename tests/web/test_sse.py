"""A stream of events: its form, its silences, its honest ends."""

import asyncio
import logging
from typing import Any

import pytest

from archestra_gateway.web.sse import event

ASK = b"GET /api/stream?%b HTTP/1.1\r\nHost: localhost\r\n\r\n"
FIRST = b'data: {"n":1}\n\n'


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("hello",), b"data: hello\n\n"),
        ((b"hello", "message", "7"), b"event: message\nid: 7\ndata: hello\n\n"),
        (("two\nlines",), b"data: two\ndata: lines\n\n"),
        (("\r\n\r",), b"data: \ndata: \ndata: \n\n"),
        (("",), b"data: \n\n"),
        (("grün",), "data: grün\n\n".encode()),
    ],
)
def test_the_form_of_an_event(arguments: tuple[Any, ...], expected: bytes) -> None:
    assert event(*arguments) == expected


async def test_a_stream_says_that_it_is_one(floor: Any) -> None:
    answer = await floor.ask("GET", "/api/stream")

    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.body == FIRST


@pytest.mark.parametrize(
    ("query", "last"),
    [
        ("fail", b'event: error\ndata: {"error":{"code":"CONFLICT","message":"There is one already"}}\n\n'),
        ("crash", b'event: error\ndata: {"error":{"code":"INTERNAL_ERROR","message":"Internal error"}}\n\n'),
    ],
)
async def test_an_error_is_the_last_event(floor: Any, query: str, last: bytes) -> None:
    answer = await floor.ask("GET", f"/api/stream?{query}")

    assert answer.status == 200
    assert answer.body == FIRST + last


async def test_a_silence_is_filled_with_comments(floor: Any) -> None:
    async with floor.connect() as (reader, writer):
        writer.write(ASK % b"wait")

        assert b": \n\n" in await reader.readuntil(b": \n\n")


async def test_a_stop_ends_a_stream_at_once_and_whole(floor: Any) -> None:
    loop = asyncio.get_running_loop()
    waiting = asyncio.create_task(floor.ask("GET", "/api/stream?wait", Connection=None))
    while not floor.runner.server.requests_count:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)

    begin = loop.time()
    await floor.runner.cleanup()
    answer = await waiting  # raises when the payload is broken

    assert answer.body.startswith(FIRST)
    assert b"error" not in answer.body
    assert loop.time() - begin < 1


async def test_a_reader_who_leaves_leaves_no_trace(floor: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with floor.connect() as (reader, writer):
        writer.write(ASK % b"wait")
        await reader.readuntil(FIRST)
    while floor.runner.server.connections:
        await asyncio.sleep(0.01)

    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_reader_who_does_not_read_is_cut_off(floor: Any) -> None:
    async with floor.connect() as (reader, writer):
        writer.write(ASK % b"flood")
        await reader.readuntil(FIRST)

        async with asyncio.timeout(20):
            while floor.runner.server.connections:
                await asyncio.sleep(0.01)

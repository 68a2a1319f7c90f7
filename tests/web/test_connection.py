"""Clients that are slow, many, or gone; heads and bodies that never end."""

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from archestra_gateway.web.connection import connection_limit

HEAD = (
    b"POST /api/paint HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: 16\r\n\r\n"
)
PAINT = b'{"colour":"red"}'


async def ended_after(reader: asyncio.StreamReader) -> tuple[bytes, float]:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    content = b""
    with contextlib.suppress(ConnectionResetError):
        async with asyncio.timeout(5):
            content = await reader.read()
    return content, loop.time() - begin


async def drip(writer: asyncio.StreamWriter, piece: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("beginning", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
async def test_a_head_that_does_not_come_is_cut(floor: Any, beginning: bytes) -> None:
    async with floor.connect() as (reader, writer):
        writer.write(beginning)

        content, seconds = await ended_after(reader)

    assert content == b""
    assert 0.3 < seconds < 1.5


@pytest.mark.parametrize("before", [b"", b"GET /api/paint HTTP/1.1\r\nHost: localhost\r\n\r\n"])
async def test_a_head_that_drips_is_cut_however_lively(floor: Any, before: bytes) -> None:
    async with floor.connect() as (reader, writer):
        if before:
            writer.write(before)
            await reader.readuntil(b"}")
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        dripping = asyncio.create_task(drip(writer, b"a"))

        content, seconds = await ended_after(reader)
        dripping.cancel()

    assert content == b""
    assert 0.3 < seconds < 1.5


async def test_an_idle_connection_is_no_slow_head(floor: Any) -> None:
    async with floor.connect() as (reader, writer):
        for _ in range(2):
            writer.write(HEAD + PAINT)
            await reader.readuntil(b"}")
            await asyncio.sleep(0.7)

        writer.write(HEAD + PAINT)
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 201")


async def test_a_body_that_stops_coming_is_answered_and_cut(
    floor: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with floor.connect() as (reader, writer):
        writer.write(HEAD + PAINT[:5])

        content, seconds = await ended_after(reader)

    assert content.startswith(b"HTTP/1.1 400 ")
    assert b"did not come within 0.4 seconds" in content
    assert 0.3 < seconds < 1.5
    assert caplog.records == []


async def test_a_body_that_comes_slowly_is_no_failure(floor: Any) -> None:
    async with floor.connect() as (reader, writer):
        writer.write(HEAD)
        for index in range(len(PAINT)):
            writer.write(PAINT[index : index + 1])
            await asyncio.sleep(0.05)

        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 201")


async def test_a_client_that_breaks_off_its_body_leaves_no_trace(
    floor: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with floor.connect() as (_, writer):
        writer.write(HEAD + PAINT[:5])
        await writer.drain()
        await asyncio.sleep(0.05)
    while floor.runner.server.connections:
        await asyncio.sleep(0.01)

    assert caplog.records == []


async def test_broken_chunks_are_the_clients_mistake(floor: Any) -> None:
    answer = await floor.ask(
        "POST", "/api/paint", b"nonsense\r\n", Content_Length=None, Transfer_Encoding="chunked"
    )

    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")


async def test_pipelined_requests_are_answered_in_order(floor: Any) -> None:
    async with floor.connect() as (reader, writer):
        writer.write((HEAD + PAINT) * 3)

        for _ in range(3):
            assert (await reader.readuntil(b"}")).endswith(b'{"colour":"red","coats":1}')


@pytest.mark.parametrize(("files", "clients"), [(64, 40), (256, 192), (65536, 49152), (8, 1)])
def test_some_files_are_kept_for_the_gateway_itself(files: int, clients: int) -> None:
    assert connection_limit(files) == clients


CROWD = 200


@pytest.mark.skipif(sys.platform == "win32", reason="ulimit is a thing of Unix")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_a_crowd_beyond_the_open_files_costs_one_line_of_log(loop: str) -> None:
    root = Path(__file__).parent.parent.parent
    program = root / "tests" / "fakes" / "crowded_gateway.py"
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", f"ulimit -n 64; exec {sys.executable} {program} {loop}",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    assert process.stdout is not None
    port = int(await process.stdout.readline())

    crowd = await asyncio.gather(
        *(asyncio.open_connection("127.0.0.1", port) for _ in range(CROWD)), return_exceptions=True
    )
    await asyncio.sleep(2)
    for connection in crowd:
        if isinstance(connection, tuple):
            connection[1].close()
    await asyncio.sleep(1.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    served = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    output, log = await process.communicate(b"")

    assert served == b"HTTP/1.1 200 OK\r\n"
    assert log.decode().count("\n") == 1, log.decode()
    assert "no more files may be opened" in log.decode()
    assert float(output) < 2.5, "seconds of CPU; a core that burns all the while is above 3"

"""Calls of a session whose head their connection has seen before: quick ones never reach aiohttp."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from archestra_gateway import keys
from archestra_gateway.client_configs.plan import Record
from archestra_gateway.config import McpConfig
from archestra_gateway.schemas.external_mcp_client import ClientConfig
from archestra_gateway.services.external_mcp_client_known import Known

BOTH = "application/json, text/event-stream"


@attrs.define
class Line:
    """A client's connection, by hand, for calls in one session; each has the next id."""

    client: TestClient
    session: Any
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    accept: str = BOTH
    token: str = ""
    number: int = 0

    def request(self, tool: str, session_id: str = "", **arguments: Any) -> tuple[bytes, bytes]:
        """The head and the body of the next call."""
        self.number += 1
        params = {"name": tool, "arguments": arguments}
        message = {"jsonrpc": "2.0", "id": self.number, "method": "tools/call", "params": params}
        return self.posted(message, session_id)

    def posted(self, message: dict[str, Any], session_id: str = "") -> tuple[bytes, bytes]:
        body = json.dumps(message).encode()
        authorization = f"Authorization: Bearer {self.token}\r\n" if self.token else ""
        head = (
            f"POST /mcp_proxy/{self.session.server} HTTP/1.1\r\nHost: localhost\r\n{authorization}"
            f"Content-Type: application/json\r\nAccept: {self.accept}\r\nContent-Length: {len(body)}\r\n"
            f"Mcp-Session-Id: {session_id or self.session.id}\r\n\r\n"
        )
        return head.encode(), body

    async def call(self, tool: str, session_id: str = "", **arguments: Any) -> "Answer":
        self.writer.write(b"".join(self.request(tool, session_id, **arguments)))
        return await self.answer()

    async def answer(self) -> "Answer":
        async with asyncio.timeout(10):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
            headers = dict(line.split(": ", 1) for line in lines[1:-1])
            if "Content-Length" in headers:
                body = await self.reader.readexactly(int(headers["Content-Length"]))
            else:
                body = await self.reader.readuntil(b"\r\n0\r\n\r\n")
        return Answer(int(lines[0].split()[1]), headers, body)

    def came_the_long_way(self) -> int:
        """Requests that aiohttp has had, of all clients."""
        return int(self.client.server.runner.server.requests_count)  # type: ignore[attr-defined]


@attrs.frozen
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return str(self.message["result"]["content"][0]["text"])

    @property
    def events(self) -> list[Any]:
        return [json.loads(line[6:]) for line in self.body.splitlines() if line.startswith(b"data: ")]


Dial = Callable[..., AbstractAsyncContextManager[Line]]


@pytest.fixture
def dial(client: TestClient, open_session: Any, files: str) -> Dial:
    """`async with dial() as line`: a new connection, and a new session unless one is given."""

    @contextlib.asynccontextmanager
    async def dialled(session: Any = None, **known: str) -> AsyncIterator[Line]:
        session = session or await open_session(files)
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        yield Line(client, session, reader, writer, **known)
        writer.close()

    return dialled


async def rows(app: web.Application) -> list[dict[str, Any]]:
    """Of tool calls, whole, the oldest first."""
    log = app[keys.REQUEST_LOG]
    found = (await log.list_page({"method": "tools/call"}, 100))["data"]
    return [await log.get(row["request_id"]) for row in reversed(found)]


async def test_only_the_first_call_comes_the_long_way_and_all_look_alike(
    dial: Dial, app: web.Application
) -> None:
    async with dial() as line:
        before = line.came_the_long_way()
        answers = [await line.call("echo", text="x" * size) for size in (1, 1, 0, 200, 5000)]
        assert line.came_the_long_way() == before + 1

    assert [answer.text for answer in answers] == ["x" * size for size in (1, 1, 0, 200, 5000)]
    assert [answer.message["id"] for answer in answers] == [1, 2, 3, 4, 5]
    assert {answer.status for answer in answers} == {200}
    assert len({tuple(answer.headers) for answer in answers}) == 1
    logged = await rows(app)
    assert [row["request_id"] for row in logged] == [answer.headers["X-Request-Id"] for answer in answers]
    for row, answer in zip(logged, answers, strict=True):
        assert int(row["request_headers"]["Content-Length"]) == len(row["request_body"])
        assert row["response_body"] == answer.body.decode()
        assert (row["tool_name"], row["status_code"], row["error_message"]) == ("echo", 200, None)
        assert (row["mcp_session_id"], row["client_info"]["client_name"]) == (line.session.id, "test")
        assert 0 < row["duration_ms"] < 10_000


async def test_a_body_may_come_after_its_head_and_in_pieces(dial: Dial) -> None:
    async with dial() as line:
        await line.call("echo")
        before = line.came_the_long_way()
        for size in (1, 1000):
            head, body = line.request("echo", text="x" * 10)
            line.writer.write(head)
            for at in range(0, len(body), size):
                await line.writer.drain()
                await asyncio.sleep(0.001)
                line.writer.write(body[at : at + size])

            assert (await line.answer()).text == "x" * 10
        assert line.came_the_long_way() == before


@pytest.mark.parametrize("at_once", [2, 20])
async def test_requests_that_do_not_wait_are_answered_in_order(dial: Dial, at_once: int) -> None:
    async with dial() as line:
        await line.call("echo")
        for _ in range(2):
            begin = line.number
            line.writer.write(b"".join(b"".join(line.request("echo", text=str(n))) for n in range(at_once)))

            answers = [await line.answer() for _ in range(at_once)]

            assert [answer.text for answer in answers] == [str(n) for n in range(at_once)]
            assert [answer.message["id"] - begin for answer in answers] == list(range(1, at_once + 1))
            assert (await line.call("echo", text="after")).text == "after"


async def test_a_request_behind_one_that_runs_waits_for_its_answer(dial: Dial) -> None:
    async with dial() as line:
        await line.call("echo")
        line.writer.write(b"".join(line.request("slow", seconds=0.2)))
        await asyncio.sleep(0.05)
        line.writer.write(b"".join(line.request("echo", text="next")))

        assert [(await line.answer()).text for _ in range(2)] == ["slow", "next"]


async def test_a_head_that_differs_is_read_anew(dial: Dial, open_session: Any, files: str) -> None:
    other = await open_session(files)
    async with dial() as line:
        mine = [json.loads((await line.call("environment")).text)["instance"] for _ in range(2)]
        others = [json.loads((await line.call("environment", other.id)).text)["instance"] for _ in range(2)]
        gone = await line.call("echo", "0" * 32)

    assert mine[0] == mine[1] != others[0] == others[1]
    assert gone.status == 404


async def test_what_the_server_says_first_is_the_first_event(dial: Dial, app: web.Application) -> None:
    async with dial() as line:
        await line.call("echo")
        streamed = await line.call("log_message")
        assert (await line.call("echo", text="after")).text == "after"

    assert [each.get("method") for each in streamed.events] == ["notifications/message", None]
    assert streamed.events[-1]["id"] == 2
    assert [row["tool_name"] for row in await rows(app)] == ["echo", "log_message", "echo"]
    assert (await rows(app))[1]["request_id"] == streamed.headers["X-Request-Id"]


async def test_a_client_that_takes_no_stream_gets_the_answer_alone(dial: Dial) -> None:
    async with dial(accept="application/json") as line:
        await line.call("echo")
        assert (await line.call("log_message")).text == "logged"


async def test_a_question_in_the_middle_is_answered_on_another_connection(dial: Dial) -> None:
    async with dial() as line:
        await line.call("echo")
        line.writer.write(b"".join(line.request("sample")))
        head = await line.reader.readuntil(b"\r\n\r\n")
        assert b"text/event-stream" in head
        question = json.loads((await line.reader.readuntil(b"}\n\n")).partition(b"data: ")[2])
        assert question["method"] == "sampling/createMessage"
        await line.session.post({"id": question["id"], "result": {"said": "yes"}})

        rest = await line.reader.readuntil(b"\r\n0\r\n\r\n")

    assert b'\\"said\\": \\"yes\\"' in rest


async def test_a_server_that_dies_in_the_middle_is_told_of_as_ever(dial: Dial, app: web.Application) -> None:
    async with dial() as line:
        await line.call("echo")
        failed = await line.call("crash")
        after = await line.call("echo")

    assert failed.status == 200
    assert (failed.message["id"], failed.message["error"]["data"]["error"]["code"]) == (2, "UPSTREAM_ERROR")
    assert after.status == 404
    assert "exit code 3" in (await rows(app))[1]["error_message"]


async def test_an_error_of_the_server_is_its_answer(dial: Dial, app: web.Application) -> None:
    async with dial() as line:
        await line.call("echo")
        failed = await line.call("nonsense")

    assert (failed.status, failed.message["error"]["code"]) == (200, -32602)
    assert (await rows(app))[1]["error_message"] == "Unknown tool nonsense"


@pytest.mark.parametrize("mcp", [McpConfig(keep_alive=0.5, allow_root=True)])
async def test_a_call_that_takes_long_is_kept_alive_on_the_long_way(
    dial: Dial, app: web.Application, read_events: Any
) -> None:
    async with dial() as line:
        await line.call("echo")
        before = line.came_the_long_way()
        answer = await line.call("slow", seconds=2.5)

        assert answer.text == "slow"
        assert line.came_the_long_way() == before + 1
        assert (await line.call("echo", text="after")).text == "after"
    slow = (await rows(app))[1]
    assert slow["request_id"] == answer.headers["X-Request-Id"]
    assert 2400 < slow["duration_ms"] < 10_000


@pytest.mark.parametrize("mcp", [McpConfig(request_timeout=1.5, allow_root=True)])
async def test_a_server_that_is_silent_is_given_up(dial: Dial) -> None:
    async with dial() as line:
        await line.call("echo")
        answer = await line.call("silence")

    assert answer.message["error"]["data"]["error"]["code"] == "UPSTREAM_TIMEOUT"


async def test_a_cancel_ends_it(dial: Dial) -> None:
    async with dial() as line:
        await line.call("echo")
        line.writer.write(b"".join(line.request("slow", seconds=20)))
        await asyncio.sleep(0.05)
        cancel = {"method": "notifications/cancelled", "params": {"requestId": line.number}}
        assert (await line.session.post(cancel)).status == 202

        assert (await line.answer()).message["error"]["code"] == -32800


@pytest.mark.parametrize("seconds", [0.2, 2])
async def test_a_client_that_leaves_does_not_cancel_it(
    dial: Dial, app: web.Application, seconds: float
) -> None:
    async with dial() as line:
        await line.call("echo")
        line.writer.write(b"".join(line.request("slow", seconds=seconds)))
        await asyncio.sleep(0.05)
        line.writer.close()
        async with asyncio.timeout(10):
            while "slow" not in [row["tool_name"] for row in await rows(app)]:
                await asyncio.sleep(0.05)
        answer = await line.session.call("cancelled")

    heard = json.loads((await answer.json())["result"]["content"][0]["text"])
    assert [message["method"] for message in heard] == ["notifications/initialized"]
    slow = next(row for row in await rows(app) if row["tool_name"] == "slow")
    assert (slow["status_code"], json.loads(slow["response_body"])["id"]) == (200, 2)


async def test_messages_that_are_no_requests_go_the_long_way(dial: Dial) -> None:
    async with dial() as line:
        for _ in range(2):
            assert (await line.call("echo", text="a")).text == "a"
            line.writer.write(b"".join(line.posted({"jsonrpc": "2.0", "method": "notifications/other"})))
            assert (await line.answer()).status == 202
            line.writer.write(b"".join(line.posted({"jsonrpc": "1.0", "id": 4, "method": "ping"})))
            assert (await line.answer()).status == 400


async def test_progress_of_one_of_many_calls_is_streamed(dial: Dial) -> None:
    async with dial() as line:
        await line.call("echo")
        params = {"name": "progress", "arguments": {"steps": 2}, "_meta": {"progressToken": "p"}}
        message = {"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": params}
        line.writer.write(b"".join(line.posted(message)))

        events = (await line.answer()).events

    assert [each.get("params", {}).get("progress") for each in events] == [0, 1, None]


@pytest.mark.parametrize("mcp", [McpConfig(max_body=2000, allow_root=True)])
async def test_a_body_that_grows_too_large_is_refused(dial: Dial) -> None:
    async with dial() as line:
        await line.call("echo")
        assert (await line.call("echo", text="x" * 1000)).status == 200
        assert (await line.call("echo", text="x" * 2000)).status == 413


async def test_a_client_whose_token_was_taken_back_is_refused(dial: Dial, app: web.Application) -> None:
    known = app[keys.KNOWN_CLIENTS]
    mine = await known.insert(attrs.evolve(Known.new("mine", ClientConfig()), record=Record()))
    async with dial(token=mine.token) as line:
        before = line.came_the_long_way()
        assert [(await line.call("echo")).status for _ in range(3)] == [200] * 3
        assert line.came_the_long_way() == before + 1
        await known.save(mine.disconnected())

        assert (await line.call("echo")).status == 401


async def test_the_end_of_the_gateway_waits_for_a_call(dial: Dial, client: TestClient) -> None:
    async with dial() as line:
        await line.call("echo")
        line.writer.write(b"".join(line.request("slow", seconds=0.4)))
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(client.close())

        answer = await line.answer()
        await closing

    assert answer.message["id"] == 2

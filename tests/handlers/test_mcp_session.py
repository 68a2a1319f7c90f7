"""Sessions of the eras with `initialize`, as a client meets them at `/mcp_proxy/{server}`."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from archestra_gateway import keys
from archestra_gateway.config import McpConfig


async def text(answer: Any) -> str:
    return str((await answer.json())["result"]["content"][0]["text"])


async def test_every_session_has_a_server_process_of_its_own(
    files: str, open_session: Any, client: TestClient
) -> None:
    one, other = await open_session(files), await open_session(files)

    processes = {
        json.loads(await text(await session.call("environment")))["instance"] for session in (one, other)
    }

    assert len(processes) == 2
    server = await (await client.get(f"/api/mcp_server/{files}")).json()
    assert server["status"]["sessions"] == 2


async def test_a_session_id_is_known_to_its_server_only(
    client: TestClient, files: str, open_session: Any, install: Any, fake: Any
) -> None:
    await install("other", fake())
    session = await open_session(files)

    for server in ("other", files):
        answer = await client.post(
            f"/mcp_proxy/{server}",
            json={"jsonrpc": "2.0", "id": 9, "method": "ping"},
            headers={"Mcp-Session-Id": session.id if server == "other" else "unknown"},
        )
        assert answer.status == 404
        assert (await answer.json())["id"] == 9
    assert (await client.get(f"/mcp_proxy/{files}", headers={"Mcp-Session-Id": "unknown"})).status == 404
    assert (await client.delete(f"/mcp_proxy/{files}", headers={"Mcp-Session-Id": "unknown"})).status == 404


async def test_a_deleted_session_is_over_and_its_process_too(
    client: TestClient, files: str, open_session: Any
) -> None:
    session = await open_session(files)

    deleted = await client.delete(f"/mcp_proxy/{files}", headers=session.headers)

    assert deleted.status == 204
    assert (await session.call("echo")).status == 404
    status = (await (await client.get(f"/api/mcp_server/{files}")).json())["status"]
    assert (status["state"], status["sessions"], status["pid"]) == ("stopped", 0, None)


async def test_two_sessions_ask_with_the_same_ids(files: str, open_session: Any) -> None:
    sessions = [await open_session(files) for _ in range(3)]

    answers = await asyncio.gather(*(s.call("echo", 1, text=s.id) for s in sessions for _ in range(5)))

    assert [await text(answer) for answer in answers] == [s.id for s in sessions for _ in range(5)]


async def test_a_question_of_the_server_goes_to_the_client_that_caused_it(
    files: str, open_session: Any, read_events: Any
) -> None:
    sessions = [await open_session(files) for _ in range(2)]

    async def sample(session: Any) -> str:
        stream = read_events(await session.call("sample", 1, tag=session.id))
        question = await anext(stream)
        assert question["method"] == "sampling/createMessage"
        assert question["params"]["tag"] == session.id
        answered = await session.post({"id": question["id"], "result": {"said": f"by {session.id}"}})
        assert answered.status == 202
        answer = await anext(stream)
        return str(answer["result"]["content"][0]["text"])

    said = await asyncio.gather(*map(sample, sessions))

    assert said == [json.dumps({"result": {"said": f"by {session.id}"}}) for session in sessions]


async def test_without_an_open_call_a_question_goes_down_the_get_stream(
    files: str, open_session: Any, client: TestClient
) -> None:
    session = await open_session(files)
    stream = await session.stream()
    message = {
        "jsonrpc": "2.0",
        "id": 5,
        "method": "tools/call",
        "params": {"name": "sample", "arguments": {}},
    }
    asking = asyncio.create_task(
        client.post(
            f"/mcp_proxy/{files}",
            json=message,
            headers={"Mcp-Session-Id": session.id, "Accept": "application/json"},
        )
    )

    question = await anext(stream)
    await session.post({"id": question["id"], "error": {"code": -1, "message": "no"}})

    assert json.loads(await text(await asking)) == {"error": {"code": -1, "message": "no"}}


async def test_progress_and_log_messages_come_before_the_answer(
    files: str, open_session: Any, read_events: Any
) -> None:
    session = await open_session(files)

    logged = [event async for event in read_events(await session.call("log_message"))]
    params = {"name": "progress", "arguments": {"steps": 2}, "_meta": {"progressToken": 5}}
    progress = [
        event
        async for event in read_events(
            await session.post({"id": 2, "method": "tools/call", "params": params})
        )
    ]

    assert [event.get("method") for event in logged] == ["notifications/message", None]
    assert [event["params"]["progressToken"] for event in progress[:-1]] == [5, 5]
    assert progress[-1]["id"] == 2


async def test_a_cancelled_call_ends_and_its_server_hears_of_it(files: str, open_session: Any) -> None:
    session = await open_session(files)
    waiting = asyncio.create_task(session.call("slow", "a", seconds=30))
    await session.call("echo")

    await session.post(
        {"method": "notifications/cancelled", "params": {"requestId": "a", "reason": "bored", "x": 1}}
    )

    answer = await (await waiting).json()
    assert (answer["id"], answer["error"]["code"]) == ("a", -32800)
    heard = json.loads(await text(await session.call("cancelled")))[-1]["params"]
    assert (heard["reason"], heard["x"]) == ("bored", 1)
    assert heard["requestId"] != "a"


async def test_a_client_that_leaves_a_session_does_not_cancel(
    files: str, open_session: Any, app: web.Application
) -> None:
    session = await open_session(files)
    leaving = asyncio.create_task(session.call("slow", "a", seconds=0.3))
    await session.call("echo")

    leaving.cancel()

    log = app[keys.REQUEST_LOG]
    async with asyncio.timeout(5):
        while "slow" not in [row["tool_name"] for row in (await log.list_page({}, 10))["data"]]:
            await asyncio.sleep(0.02)
    heard = json.loads(await text(await session.call("cancelled")))
    assert [message["method"] for message in heard] == ["notifications/initialized"]
    row = next(row for row in (await log.list_page({}, 10))["data"] if row["tool_name"] == "slow")
    assert (row["status_code"], row["mcp_session_id"], row["client_info"]["client_name"]) == (
        200,
        session.id,
        "test",
    )


@pytest.mark.parametrize("tool", ["change_tools", "update_resource"])
async def test_what_a_server_says_about_itself_reaches_all_of_its_sessions(
    files: str, open_session: Any, client: TestClient, tool: str
) -> None:
    streams = [await (await open_session(files)).stream() for _ in range(2)]

    message = {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": tool}}
    await client.post(f"/mcp_proxy/{files}", json=message)

    heard = [(await anext(stream))["method"] for stream in streams]
    assert heard in (["notifications/tools/list_changed"] * 2, ["notifications/resources/updated"] * 2)


async def test_what_nobody_could_hear_waits_for_the_stream(
    files: str, open_session: Any, client: TestClient
) -> None:
    session = await open_session(files)

    message = {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "change_tools"}}
    await client.post(f"/mcp_proxy/{files}", json=message)

    assert (await anext(await session.stream()))["method"] == "notifications/tools/list_changed"


async def test_a_new_stream_takes_the_place_of_the_old_one(files: str, open_session: Any) -> None:
    session = await open_session(files)
    old = await session.stream()

    new = await session.stream()
    await session.call("change_tools")

    assert (await anext(new))["method"] == "notifications/tools/list_changed"
    assert [message async for message in old] == []


@pytest.mark.parametrize("mcp", [McpConfig(keep_alive=0.05)])
async def test_a_quiet_stream_is_kept_open(files: str, open_session: Any, client: TestClient) -> None:
    session = await open_session(files)

    answer = await client.get(f"/mcp_proxy/{files}", headers=session.headers)

    assert (await answer.content.readline()).startswith(b":")


async def test_a_session_whose_server_died_is_over(files: str, open_session: Any) -> None:
    session = await open_session(files)
    stream = await session.stream()

    died = await session.call("crash", 7)

    assert died.status == 200
    error = (await died.json())["error"]
    assert "ended with exit code 3" in error["message"]
    assert error["data"]["error"]["code"] == "UPSTREAM_ERROR"
    assert [message async for message in stream] == []
    assert (await session.call("echo")).status == 404


async def test_a_server_that_can_not_start_tells_the_initializing_client(
    client: TestClient, install: Any, fake: Any
) -> None:
    await install("refusing", fake("--refuse"))
    await install("crashing", fake("--crash"))
    message = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}}

    refused = await client.post("/mcp_proxy/refusing", json=message)
    crashed = await client.post("/mcp_proxy/crashing", json=message)

    assert (await refused.json())["error"] == {"code": -32602, "message": "not today"}
    assert "no configuration found" in (await crashed.json())["error"]["message"]
    for answer in (refused, crashed):
        assert "Mcp-Session-Id" not in answer.headers


@pytest.mark.parametrize("mcp", [McpConfig(idle_timeout=0.2)])
async def test_an_idle_session_is_ended_and_an_open_stream_keeps_it(
    files: str, open_session: Any, client: TestClient
) -> None:
    listening = await open_session(files)
    stream = await client.get(f"/mcp_proxy/{files}", headers=listening.headers)
    idle = await open_session(files)

    async with asyncio.timeout(5):
        while (await (await client.get(f"/api/mcp_server/{files}")).json())["status"]["sessions"] == 2:
            await asyncio.sleep(0.05)

    assert (await idle.call("echo")).status == 404
    assert (await listening.call("echo")).status == 200
    stream.close()


@pytest.mark.parametrize("mcp", [McpConfig(max_children=2)])
async def test_the_idlest_process_makes_room_and_busy_ones_do_not(
    files: str, open_session: Any, client: TestClient
) -> None:
    first, second = await open_session(files), await open_session(files)
    third = await open_session(files)

    assert (await first.call("echo")).status == 404
    streams = [await session.stream() for session in (second, third)]
    message = {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "echo"}}
    refused = await client.post(f"/mcp_proxy/{files}", json=message)

    assert refused.status == 503
    assert "mcp.max_children" in (await refused.json())["error"]["message"]
    assert len(streams) == 2


async def test_the_end_of_the_gateway_does_not_wait_for_open_streams(
    files: str, open_session: Any, client: TestClient, app: web.Application
) -> None:
    stream = await (await open_session(files)).stream()

    app[keys.STOPPING].set()

    assert [message async for message in stream] == []

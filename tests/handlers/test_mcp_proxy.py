"""`/mcp_proxy/{server}`: calls without a session."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from archestra_gateway import keys
from archestra_gateway.config import McpConfig


def tool(name: str, identifier: Any = 1, **arguments: Any) -> dict[str, Any]:
    params = {"name": name, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": identifier, "method": "tools/call", "params": params}


async def test_a_bare_call_without_an_id_is_answered(client: TestClient, files: str) -> None:
    message = tool("echo", text="hello")
    del message["id"]

    answer = await client.post(f"/mcp_proxy/{files}", json=message)

    assert answer.status == 200
    assert await answer.json() == {
        "jsonrpc": "2.0",
        "id": None,
        "result": {"content": [{"type": "text", "text": "hello"}]},
    }


@pytest.mark.parametrize("identifier", ["1", 1, 1.5, "x y", -7, 12345678901234567890123])
async def test_an_id_comes_back_as_it_was(client: TestClient, files: str, identifier: Any) -> None:
    answer = await client.post(f"/mcp_proxy/{files}", json=tool("echo", identifier))

    assert f'"id":{json.dumps(identifier)}' in await answer.text()


async def test_clients_with_the_same_ids_get_their_own_answers(client: TestClient, files: str) -> None:
    answers = await asyncio.gather(
        *(client.post(f"/mcp_proxy/{files}", json=tool("echo", 1, text=f"client {n}")) for n in range(50))
    )

    texts = [(await answer.json())["result"]["content"][0]["text"] for answer in answers]
    assert texts == [f"client {n}" for n in range(50)]


async def test_a_notification_is_taken(client: TestClient, files: str) -> None:
    answer = await client.post(
        f"/mcp_proxy/{files}", json={"jsonrpc": "2.0", "method": "notifications/initialized"}
    )

    assert (answer.status, await answer.read()) == (202, b"")


@pytest.mark.parametrize(
    ("body", "status", "number", "says"),
    [
        (b"{", 400, -32700, "not valid JSON"),
        (b"", 400, -32700, "not valid JSON"),
        (b"[" * 100_000, 400, -32600, "Batches are not supported"),
        (
            b'{"jsonrpc":"2.0","id":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            400,
            -32700,
            "nested too deeply",
        ),
        (b'{"jsonrpc":"2.0","id":1,"method":"x\xff"}', 400, -32700, "not UTF-8"),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', 400, -32600, "Batches are not supported"),
        (b'"text"', 400, -32600, "a JSON object"),
        (b'{"id":1,"method":"ping"}', 400, -32600, '"jsonrpc": "2.0"'),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', 400, -32600, "a string or a number"),
        (b'{"jsonrpc":"2.0","id":1}', 400, -32600, "has a `method`"),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', 400, -32600, "is a string"),
    ],
)
async def test_what_is_no_message_is_refused(
    client: TestClient, files: str, body: bytes, status: int, number: int, says: str
) -> None:
    answer = await client.post(f"/mcp_proxy/{files}", data=body, headers={"Content-Type": "application/json"})

    error = (await answer.json())["error"]
    assert (answer.status, error["code"]) == (status, number)
    assert says in error["message"]
    assert error["data"]["error"]["code"] == "INVALID_REQUEST"


async def test_a_server_that_does_not_exist_is_404(client: TestClient) -> None:
    answer = await client.post("/mcp_proxy/nobody", json=tool("echo", "mine"))

    assert answer.status == 404
    assert await answer.json() == {
        "jsonrpc": "2.0",
        "id": "mine",
        "error": {
            "code": -32000,
            "message": "MCP server not found",
            "data": {
                "error": {
                    "code": "RESOURCE_NOT_FOUND",
                    "message": "MCP server not found",
                    "details": {"name": "nobody"},
                }
            },
        },
    }


async def test_a_server_that_does_not_start_says_why(client: TestClient, install: Any, fake: Any) -> None:
    await install("broken", fake("--crash"))

    answer = await client.post("/mcp_proxy/broken", json=tool("echo"))

    error = (await answer.json())["error"]
    assert answer.status == 502
    assert (
        error["message"]
        == "The MCP server broken ended with exit code 1. It last said: no configuration found"
    )
    assert error["data"]["error"]["code"] == "UPSTREAM_ERROR"


async def test_a_server_that_refuses_to_initialize_says_why(
    client: TestClient, install: Any, fake: Any
) -> None:
    await install("proud", fake("--refuse"))

    answer = await client.post("/mcp_proxy/proud", json=tool("echo"))

    assert (await answer.json())["error"][
        "message"
    ] == "The MCP server proud refused to initialize: not today"


@pytest.mark.parametrize("mcp", [McpConfig(start_timeout=0.3)])
async def test_a_server_that_never_initializes_is_given_up(
    client: TestClient, install: Any, fake: Any
) -> None:
    await install("mute", fake("--mute"))

    answer = await client.post("/mcp_proxy/mute", json=tool("echo"))

    assert answer.status == 504
    assert (await answer.json())["error"]["code"] == -32001


async def test_after_a_death_in_the_middle_the_next_call_works(client: TestClient, files: str) -> None:
    died = await client.post(f"/mcp_proxy/{files}", json=tool("crash"))
    next_one = await client.post(f"/mcp_proxy/{files}", json=tool("echo", text="alive"))

    assert died.status == 502
    assert (await died.json())["error"]["data"]["error"]["details"]["exit_code"] == 3
    assert (await next_one.json())["result"]["content"][0]["text"] == "alive"


async def test_a_large_result_arrives_whole(client: TestClient, files: str) -> None:
    answer = await client.post(f"/mcp_proxy/{files}", json=tool("big", size=4_000_000))

    assert len((await answer.json())["result"]["content"][0]["text"]) == 4_000_000


async def test_nobody_stands_behind_a_bare_call_to_answer_a_server(client: TestClient, files: str) -> None:
    sampled = await client.post(f"/mcp_proxy/{files}", json=tool("sample"))
    pinged = await client.post(f"/mcp_proxy/{files}", json=tool("ping_client"))

    assert "-32601" in await sampled.text()
    assert json.loads((await pinged.json())["result"]["content"][0]["text"]) == {"result": {}}


async def test_progress_of_a_bare_call_is_streamed(client: TestClient, files: str, read_events: Any) -> None:
    message = tool("progress", steps=2)
    message["params"]["_meta"] = {"progressToken": "mine"}

    answer = await client.post(f"/mcp_proxy/{files}", json=message, headers={"Accept": "text/event-stream"})

    said = [event async for event in read_events(answer)]
    assert [event.get("params", {}).get("progressToken") for event in said] == ["mine", "mine", None]
    assert said[-1]["result"]["content"][0]["text"] == "done"


async def test_a_bare_client_that_leaves_cancels_its_call(client: TestClient, files: str) -> None:
    leaving = asyncio.create_task(client.post(f"/mcp_proxy/{files}", json=tool("slow", seconds=30)))
    await client.post(f"/mcp_proxy/{files}", json=tool("echo"))

    leaving.cancel()

    async with asyncio.timeout(5):
        while (
            "the client left"
            not in await (await client.post(f"/mcp_proxy/{files}", json=tool("cancelled"))).text()
        ):
            await asyncio.sleep(0.02)


def modern(method: str, called: str = "", version: str = "2026-07-28", **params: Any) -> dict[str, Any]:
    """The body and the headers of a request of the new era."""
    prefix = "io.modelcontextprotocol/"
    meta = {f"{prefix}protocolVersion": version, f"{prefix}clientCapabilities": {}}
    headers = {"MCP-Protocol-Version": version, "Mcp-Method": method, "Mcp-Name": called}
    return {
        "json": {"jsonrpc": "2.0", "id": 7, "method": method, "params": {**params, "_meta": meta}},
        "headers": {"Accept": "application/json, text/event-stream"}
        | {k: v for k, v in headers.items() if v},
    }


async def test_a_new_client_reaches_an_old_server(client: TestClient, files: str) -> None:
    url = f"/mcp_proxy/{files}"
    discovered = (await (await client.post(url, **modern("server/discover"))).json())["result"]
    listed = (await (await client.post(url, **modern("tools/list"))).json())["result"]
    called = await client.post(url, **modern("tools/call", "echo", name="echo", arguments={"text": "hi"}))

    assert discovered["supportedVersions"][0] == "2026-07-28"
    assert discovered["capabilities"] == {"tools": {"listChanged": True}}
    assert (listed["resultType"], listed["ttlMs"], listed["cacheScope"]) == ("complete", 0, "private")
    assert (await called.json())["result"] == {
        "resultType": "complete",
        "content": [{"type": "text", "text": "hi"}],
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "fake", "version": "1"}},
    }


@pytest.mark.parametrize(
    ("request_", "status", "number"),
    [
        (modern("ping"), 404, -32601),
        (modern("initialize"), 404, -32601),
        (modern("no/such/method"), 404, -32601),
        (modern("tools/call", "another", name="echo"), 400, -32020),
        (modern("tools/list", version="2099-01-01"), 400, -32022),
    ],
)
async def test_a_new_client_is_refused_as_its_era_says(
    client: TestClient, files: str, request_: dict[str, Any], status: int, number: int
) -> None:
    answer = await client.post(f"/mcp_proxy/{files}", **request_)

    assert (answer.status, (await answer.json())["error"]["code"]) == (status, number)


async def test_a_new_client_listens_to_an_old_server(
    client: TestClient, files: str, app: web.Application, read_events: Any
) -> None:
    wanted = {"toolsListChanged": True}
    listening = await client.post(
        f"/mcp_proxy/{files}", **modern("subscriptions/listen", notifications=wanted)
    )
    heard = read_events(listening)
    acknowledged = await anext(heard)

    await client.post(f"/mcp_proxy/{files}", json=tool("change_tools"))
    changed = await anext(heard)
    app[keys.MCP_PROXY].stop()
    ended = await anext(heard)

    assert acknowledged["params"]["notifications"] == wanted
    assert changed["method"] == "notifications/tools/list_changed"
    assert ended["result"]["resultType"] == "complete"


async def test_every_call_is_logged(client: TestClient, files: str, app: web.Application) -> None:
    answer = await client.post(
        f"/mcp_proxy/{files}",
        json=tool("echo", text="hi"),
        headers={"X-Session-Id": "s1", "X-Client-Name": "me"},
    )

    page = await app[keys.REQUEST_LOG].list_page({}, 10)
    row = page["data"][0]
    assert {key: row[key] for key in ("server_name", "method", "tool_name", "status_code", "session_id")} == {
        "server_name": "files",
        "method": "tools/call",
        "tool_name": "echo",
        "status_code": 200,
        "session_id": "s1",
    }
    assert row["error_message"] is None
    whole = await app[keys.REQUEST_LOG].get(row["request_id"])
    assert json.loads(whole["request_body"])["params"]["arguments"] == {"text": "hi"}
    assert json.loads(whole["response_body"]) == await answer.json()


async def test_a_call_that_failed_is_logged_as_failed(
    client: TestClient, files: str, app: web.Application
) -> None:
    await client.post(f"/mcp_proxy/{files}", json=tool("no-such-tool"))
    await client.post(f"/mcp_proxy/{files}", json=tool("crash"))

    rows = (await app[keys.REQUEST_LOG].list_page({}, 10))["data"]
    assert [(row["status_code"], row["error_message"].split(".")[0]) for row in rows] == [
        (502, "The MCP server files ended with exit code 3"),
        (200, "Unknown tool no-such-tool"),
    ]

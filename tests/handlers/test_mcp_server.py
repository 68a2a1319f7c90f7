"""`/api/mcp_server`: what people do with their servers."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from archestra_gateway import keys

URL = "/api/mcp_server"


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": name, "arguments": arguments},
    }


async def environment(client: TestClient, server: str) -> dict[str, str]:
    answer = await (await client.post(f"/mcp_proxy/{server}", json=call("environment"))).json()
    return dict(json.loads(answer["result"]["content"][0]["text"])["env"])


async def test_a_new_gateway_has_a_filesystem_server(client: TestClient) -> None:
    servers = await (await client.get(URL)).json()

    assert [
        (server["name"], server["server_config"]["command"], server["status"]["state"]) for server in servers
    ] == [("filesystem-server", "archestra-filesystem-server", "stopped")]


async def test_a_server_is_created_and_shown(client: TestClient, install: Any, fake: Any) -> None:
    created = await install("mine", fake(cwd="/"))

    assert created == await (await client.get(f"{URL}/mine")).json()
    assert created["server_config"] == {**fake(), "env": {}, "cwd": "/"}
    assert created["enabled"] is True
    assert created["status"] == {
        "state": "stopped",
        "since": created["status"]["since"],
        "pid": None,
        "restarts": 0,
        "last_error": None,
        "next_try_at": None,
        "transport": "stdio",
        "protocol_version": None,
        "tool_count": None,
        "held_tools": 0,
        "sessions": 0,
        "sandbox": None,
        "authorization": None,
    }


async def test_a_name_can_be_used_once(client: TestClient, install: Any, fake: Any) -> None:
    await install("mine", fake())

    again = await client.post(URL, json={"name": "mine", "server_config": fake()})

    assert again.status == 409
    assert (await again.json())["error"]["code"] == "CONFLICT"


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"name": "../x", "server_config": {"transport": "stdio", "command": "x"}}, "`name` consists of"),
        ({"name": "x" * 65, "server_config": {"transport": "stdio", "command": "x"}}, "`name` consists of"),
        (
            {"name": "x", "server_config": {"transport": "stdio", "command": " "}},
            "command` must not be empty",
        ),
        ({"name": "x", "server_config": {"transport": "stdio", "command": "x", "url": "y"}}, "url"),
        ({"name": "x", "server_config": {"transport": "smoke", "command": "x"}}, "transport"),
        ({"name": "x", "server_config": {"transport": "stdio", "command": "x", "env": {"A=B": "c"}}}, "A=B"),
        (
            {"name": "x", "server_config": {"transport": "stdio", "command": "x", "cwd": "relative"}},
            "absolute path",
        ),
        ({"name": "x", "server_config": {"transport": "http", "url": "ftp://x"}}, "http or https URL"),
        (
            {"name": "x", "server_config": {"transport": "http", "url": "http://u:p@x/"}},
            "put credentials into",
        ),
        (
            {
                "name": "x",
                "server_config": {"transport": "http", "url": "http://x", "headers": {"A": "b\r\nC: d"}},
            },
            "line",
        ),
        ({"name": "x", "server_config": {"transport": "stdio", "command": "x", "args": ["a\0b"]}}, "NUL"),
        ({"name": "x"}, "server_config"),
    ],
)
async def test_a_wrong_configuration_is_refused_with_the_place(
    client: TestClient, wanted: dict[str, Any], says: str
) -> None:
    answer = await client.post(URL, json=wanted)

    assert answer.status == 422
    assert says in (await answer.json())["error"]["message"]


async def test_secrets_go_in_and_come_back_masked(client: TestClient, install: Any, fake: Any) -> None:
    env = {"API_TOKEN": "s3cret-value", "PLAIN": "plain", "EMPTY_KEY": ""}

    created = await install("mine", fake(env=env))
    remote = {
        "transport": "http",
        "url": "https://example.org/mcp",
        "headers": {"Authorization": "Bearer abcdefgh"},
    }
    other = await install("other", remote)

    assert created["server_config"]["env"] == {"API_TOKEN": "********", "PLAIN": "plain", "EMPTY_KEY": ""}
    assert other["server_config"]["headers"] == {"Authorization": "********"}
    assert "s3cret" not in await (await client.get(URL)).text()


async def test_a_mask_that_comes_back_keeps_the_secret(client: TestClient, install: Any, fake: Any) -> None:
    created = await install("mine", fake(env={"API_TOKEN": "s3cret-value"}))
    config = created["server_config"]
    config["env"]["MORE"] = "1"

    changed = await client.put(f"{URL}/mine", json={"server_config": config})

    assert changed.status == 200
    env = await environment(client, "mine")
    assert (env["API_TOKEN"], env["MORE"]) == ("s3cret-value", "1")


async def test_a_mask_without_a_secret_behind_it_is_refused(client: TestClient, fake: Any) -> None:
    answer = await client.post(
        URL, json={"name": "mine", "server_config": fake(env={"API_TOKEN": "********"})}
    )

    assert answer.status == 422


async def test_known_secrets_appear_in_no_log(
    client: TestClient, install: Any, fake: Any, app: web.Application
) -> None:
    await install("mine", fake(env={"API_TOKEN": "s3cret-value"}))

    await client.post("/mcp_proxy/mine", json=call("say_stderr", text="token is s3cret-value"))
    await client.post("/mcp_proxy/mine", json=call("environment"))

    async with asyncio.timeout(5):
        while not (lines := (await (await client.get(f"{URL}/mine/logs")).json())["lines"]):
            await asyncio.sleep(0.02)
    assert [line["text"] for line in lines] == ["token is [redacted]"]
    log = app[keys.REQUEST_LOG]
    for row in (await log.list_page({}, 10))["data"]:
        assert "s3cret" not in json.dumps(await log.get(row["request_id"]))


async def test_a_running_server_that_is_changed_is_restarted(
    client: TestClient, install: Any, fake: Any
) -> None:
    await install("mine", fake(env={"STEP": "1"}))
    assert (await environment(client, "mine"))["STEP"] == "1"

    changed = await (await client.put(f"{URL}/mine", json={"server_config": fake(env={"STEP": "2"})})).json()

    assert changed["status"]["state"] == "running"
    assert (await environment(client, "mine"))["STEP"] == "2"


async def test_start_and_stop_and_restart(client: TestClient, files: str) -> None:
    started = await (await client.post(f"{URL}/{files}/start")).json()
    status = started["status"]
    assert (status["state"], status["protocol_version"], status["sandbox"]) == (
        "running",
        "2025-11-25",
        "bubblewrap",
    )
    assert (status["tool_count"], status["restarts"]) == (22, 0)

    restarted = await (await client.post(f"{URL}/{files}/restart")).json()
    assert restarted["status"]["pid"] not in (None, status["pid"])

    stopped = await (await client.post(f"{URL}/{files}/stop")).json()
    assert (stopped["status"]["state"], stopped["enabled"]) == ("stopped", False)
    refused = await client.post(f"/mcp_proxy/{files}", json=call("echo"))
    assert refused.status == 503
    assert f"POST /api/mcp_server/{files}/start" in (await refused.json())["error"]["message"]

    await client.post(f"{URL}/{files}/start")
    assert (await client.post(f"/mcp_proxy/{files}", json=call("echo"))).status == 200


async def test_a_start_that_fails_says_why(client: TestClient, install: Any, fake: Any) -> None:
    await install("broken", fake("--crash"))

    answer = await client.post(f"{URL}/broken/start")

    assert answer.status == 502
    assert "no configuration found" in (await answer.json())["error"]["message"]
    status = (await (await client.get(f"{URL}/broken")).json())["status"]
    assert status["state"] == "error"
    assert "no configuration found" in status["last_error"]


async def test_a_deleted_server_is_gone_with_its_process(client: TestClient, files: str) -> None:
    await client.post(f"{URL}/{files}/start")

    assert (await client.delete(f"{URL}/{files}")).status == 204

    assert (await client.get(f"{URL}/{files}")).status == 404
    assert (await client.delete(f"{URL}/{files}")).status == 404
    assert (await client.post(f"/mcp_proxy/{files}", json=call("echo"))).status == 404


async def test_tools_are_listed_over_all_pages(client: TestClient, files: str) -> None:
    tools = (await (await client.get(f"{URL}/{files}/tools")).json())["tools"]

    assert len(tools) == 22
    assert tools[0] == {
        "name": "echo",
        "inputSchema": {"type": "object"},
        "archestra": {
            "name": "files__echo",
            "is_allowed": True,
            "tokens": 13,
            "uses": 0,
            "last_used_at": None,
        },
    }


async def test_logs_can_be_followed(client: TestClient, files: str, read_events: Any) -> None:
    await client.post(f"/mcp_proxy/{files}", json=call("say_stderr", text="first"))
    stream = read_events(await client.get(f"{URL}/{files}/logs", params={"follow": "1"}))

    assert (await anext(stream))["text"] == "first"
    await client.post(f"/mcp_proxy/{files}", json=call("say_stderr", text="second"))
    line = await anext(stream)

    assert line["text"] == "second"
    assert line["timestamp"].endswith("Z")

"""`/mcp`: one endpoint for everything that is behind the gateway."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from archestra_gateway import keys
from archestra_gateway.app import create_app
from archestra_gateway.config import Config, McpConfig

STREAM = "application/json, text/event-stream"
VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
BUILT_IN = "filesystem-server"


@attrs.frozen
class Mcp:
    """A client of /mcp, by hand; without an `id` it has no session."""

    client: TestClient
    id: str = ""
    headers: dict[str, str] = attrs.field(factory=dict)

    async def post(self, method: str, params: Any = None, identifier: Any = 1) -> Any:
        message = {"jsonrpc": "2.0", "id": identifier, "method": method, "params": params or {}}
        session = {"Mcp-Session-Id": self.id} if self.id else {}
        return await self.client.post("/mcp", json=message, headers={**session, **self.headers})

    async def ask(self, method: str, /, **params: Any) -> Any:
        answer = await self.post(method, params)
        text = await answer.text()
        if answer.content_type == "text/event-stream":
            text = [line for line in text.splitlines() if line.startswith("data: ")][-1][6:]
        return json.loads(text)

    async def cancel(self, identifier: Any) -> None:
        params = {"requestId": identifier}
        message = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
        answer = await self.client.post("/mcp", json=message, headers={"Mcp-Session-Id": self.id})
        assert answer.status == 202

    async def call(self, name: str, /, **arguments: Any) -> Any:
        return (await self.ask("tools/call", name=name, arguments=arguments))["result"]

    async def tools(self) -> list[str]:
        return [tool["name"] for tool in (await self.ask("tools/list"))["result"]["tools"]]

    async def stream(self) -> Any:
        return await self.client.get("/mcp", headers={"Mcp-Session-Id": self.id, "Accept": STREAM})


@pytest.fixture
def bare(client: TestClient) -> Mcp:
    return Mcp(client)


@pytest.fixture
def begin(client: TestClient) -> Callable[..., Any]:
    """session = await begin("name")"""

    async def begun(name: str = "test", version: str = "2025-11-25", **headers: str) -> Mcp:
        info = {"name": name, "version": "1"}
        params = {"protocolVersion": version, "capabilities": {"sampling": {}}, "clientInfo": info}
        answer = await Mcp(client, headers=headers).post("initialize", params)
        assert (await answer.json())["result"]["protocolVersion"] == version
        return Mcp(client, answer.headers["Mcp-Session-Id"], {"Accept": STREAM, **headers})

    return begun


async def modern(client: TestClient, method: str, called: str = "", /, **params: Any) -> Any:
    meta = {VERSION: "2026-07-28", CAPABILITIES: {}}
    headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method, "Accept": STREAM}
    message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": {**params, "_meta": meta}}
    return await client.post(
        "/mcp", json=message, headers={**headers, **({"Mcp-Name": called} if called else {})}
    )


async def test_every_servers_tools_are_there_under_its_name(bare: Mcp, files: str) -> None:
    tools = await bare.tools()

    assert {"get_context", f"{BUILT_IN}__read_file", "files__echo"} <= set(tools)
    assert len(tools) == len(set(tools))
    assert (await bare.call("files__echo", text="hi"))["content"][0]["text"] == "hi"


async def test_a_result_comes_back_to_the_last_byte(bare: Mcp, files: str) -> None:
    answer = await bare.post("tools/call", {"name": "files__arguments", "arguments": {"x": 1}})
    half = await bare.post("tools/call", {"name": "files__surrogate"})

    assert '"_unknown": {"kept": [1, 1.1, null]}' in await answer.text()
    assert '"half":"\\ud83d","big":123456789012345678901234567890' in await half.text()


@pytest.mark.parametrize("mcp", [McpConfig(tool_names="plain")])
async def test_plain_names_where_nobody_else_has_them(
    bare: Mcp, install: Any, fake: Any, reference: str
) -> None:
    await install("files", fake())
    alone = await bare.tools()
    await install("more", fake())
    together = await bare.tools()

    assert {"echo", "test_simple_text", "read_file"} <= set(alone)
    assert {"files__echo", "more__echo", "test_simple_text"} <= set(together)
    assert "echo" not in together


@pytest.mark.parametrize("mcp", [McpConfig(list_timeout=8, start_timeout=30)])
async def test_a_slow_or_broken_server_neither_delays_nor_empties_the_list(
    bare: Mcp, install: Any, fake: Any
) -> None:
    await install("good", fake())
    await install("mute", fake("--mute"))
    await install("broken", fake("--crash"))

    async with asyncio.timeout(15):
        first = (await bare.ask("tools/list"))["result"]
    async with asyncio.timeout(0.4):
        second = (await bare.ask("tools/list"))["result"]
        called = await bare.call("good__echo", text="still here")

    missing = first["_meta"]["archestra/unavailable_servers"]
    assert "good__echo" in [tool["name"] for tool in first["tools"]]
    assert second["tools"] == first["tools"]
    assert "within 8 seconds" in missing["mute"]
    assert "exit code 1" in missing["broken"]
    assert called["content"][0]["text"] == "still here"


@pytest.mark.parametrize("mcp", [McpConfig(list_timeout=20, start_timeout=2, allow_root=True)])
async def test_a_server_that_could_not_tell_is_asked_again_and_not_waited_for(
    bare: Mcp, app: web.Application, install: Any, fake: Any, tmp_path: Path
) -> None:
    await install("mute", fake("--mute", f"--starts={tmp_path / 'starts'}"), sandbox="off")
    app[keys.CATALOGUE].retry = 0
    await bare.tools()

    async with asyncio.timeout(1):
        await bare.tools()

    async with asyncio.timeout(10):
        while len((tmp_path / "starts").read_text().split()) < 2:
            await asyncio.sleep(0.02)


async def state(client: TestClient, server: str) -> str:
    answer = await client.get(f"/api/mcp_server/{server}")
    return str((await answer.json())["status"]["state"])


async def test_a_list_starts_a_server_once_and_for_all(
    client: TestClient, bare: Mcp, files: str, app: web.Application
) -> None:
    before = await bare.tools()
    assert await state(client, files) == "running"
    await app[keys.MCP_SERVERS].find(files).stop()

    after = await bare.tools()

    assert after == before
    assert await state(client, files) == "stopped"


async def test_sessions_and_lists_survive_a_restart(
    client: TestClient,
    config: Config,
    serve: Callable[[web.Application], Awaitable[TestClient]],
    begin: Any,
    files: str,
) -> None:
    session = await begin("lasting")
    tools = await session.tools()
    await client.close()

    again = Mcp(await serve(create_app(config, os.environ)), session.id, session.headers)

    assert await again.tools() == tools
    assert await state(again.client, files) == "stopped"
    assert (await again.call("files__echo", text="still here"))["content"][0]["text"] == "still here"


async def test_a_changed_list_reaches_every_client(client: TestClient, files: str, begin: Any) -> None:
    session, caller = await begin(), await begin()
    await session.tools()
    stream = await session.stream()
    listening = await modern(client, "subscriptions/listen", notifications={"toolsListChanged": True})

    await caller.call("files__change_tools")

    assert await event(stream) == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
    assert (await event(listening))["method"] == "notifications/subscriptions/acknowledged"
    heard = await event(listening)
    assert heard["method"] == "notifications/tools/list_changed"
    assert heard["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == 7


async def test_a_new_server_is_news(client: TestClient, begin: Any, install: Any, fake: Any) -> None:
    session = await begin()
    await session.tools()
    stream = await session.stream()

    await install("late", fake())

    assert (await event(stream))["method"] == "notifications/tools/list_changed"
    assert "late__echo" in await session.tools()


async def test_a_servers_question_reaches_the_client_that_caused_it(begin: Any, files: str) -> None:
    one, two = await begin("one"), await begin("two")

    async def sampled(session: Mcp, said: str) -> str:
        answer = await session.post("tools/call", {"name": "files__sample", "arguments": {"tag": said}})
        question = await event(answer)
        assert question["params"]["tag"] == said
        reply = {"jsonrpc": "2.0", "id": question["id"], "result": {"said": said}}
        taken = await session.client.post("/mcp", json=reply, headers={"Mcp-Session-Id": session.id})
        assert taken.status == 202
        result = (await event(answer))["result"]
        return str(json.loads(result["content"][0]["text"])["result"]["said"])

    said = await asyncio.gather(sampled(one, "first"), sampled(two, "second"))

    assert said == ["first", "second"]


async def test_progress_and_cancel_pass(begin: Any, files: str) -> None:
    session = await begin()
    params = {"name": "files__progress", "arguments": {"steps": 1}, "_meta": {"progressToken": "mine"}}
    answer = await session.post("tools/call", params)

    assert (await event(answer))["params"]["progressToken"] == "mine"

    slow = asyncio.create_task(session.post("tools/call", {"name": "files__slow", "arguments": {}}, 77))
    await session.call("files__echo")
    await session.cancel(77)
    assert (await (await slow).json())["error"]["code"] == -32800


@pytest.mark.parametrize("mcp", [McpConfig(allow_root=True)])
async def test_a_call_that_waits_for_its_servers_start_is_cancelled_and_never_made(
    begin: Any, install: Any, fake: Any, tmp_path: Path
) -> None:
    starts, held = tmp_path / "starts", tmp_path / "go"
    await install("late", fake(f"--hold={held}", f"--starts={starts}"), sandbox="off")
    session = await begin()

    async def cancelled(name: str, started: int) -> Any:
        call = asyncio.create_task(session.post("tools/call", {"name": name, "arguments": {}}, name))
        async with asyncio.timeout(10):
            while not starts.exists() or len(starts.read_text().split()) < started:
                await asyncio.sleep(0.01)
            await session.cancel(name)
            return (await (await call).json())["error"]

    before_the_catalogue = await cancelled("late__crash", 1)
    held.touch()
    await Mcp(session.client).tools()
    held.unlink()
    before_the_session = await cancelled("late__crash", 2)
    held.touch()
    alive = await session.call("late__echo", text="alive")

    assert before_the_catalogue == before_the_session
    assert before_the_catalogue["code"] == -32800
    assert alive["content"][0]["text"] == "alive"
    assert len(starts.read_text().split()) == 2


async def test_a_session_outlives_the_death_of_a_server(begin: Any, files: str) -> None:
    session = await begin()

    died = await session.post("tools/call", {"name": "files__crash", "arguments": {}})
    next_one = await session.call("files__echo", text="alive")

    assert died.status == 200
    assert "exit code 3" in (await died.json())["error"]["message"]
    assert next_one["content"][0]["text"] == "alive"


async def test_a_session_that_is_over_is_unknown(client: TestClient, begin: Any) -> None:
    session = await begin()
    header = {"Mcp-Session-Id": session.id}

    deleted = await client.delete("/mcp", headers=header)
    after = await session.post("tools/list")

    assert (deleted.status, after.status) == (204, 404)
    assert (await client.delete("/mcp", headers=header)).status == 404
    assert (await client.get("/mcp", headers=header)).status == 404


@pytest.mark.parametrize("mcp", [McpConfig(max_sessions=2)])
async def test_the_idlest_session_makes_room(begin: Any, app: web.Application) -> None:
    sessions = [await begin(f"client {number}") for number in range(4)]

    assert app[keys.MCP_GATEWAY].counts()["sessions"] == 2
    assert "get_context" in await sessions[0].tools()  # it slept, and woke up


async def test_context_is_kept_for_each_client(begin: Any) -> None:
    one, other = await begin("one"), await begin("other")

    await one.call("update_context", context={"project": "gateway", "gone": 1})
    await one.call("update_context", context={"gone": None})
    await one.call("set_active_models", models=["llama"])

    context = (await one.call("get_context"))["structuredContent"]["context"]
    assert context == {"project": "gateway", "active_models": ["llama"]}
    assert (await other.call("get_context"))["structuredContent"] == {"context": {}}


async def test_own_tools_say_what_was_wrong(bare: Mcp) -> None:
    missing = await bare.call("update_context")
    wrong = await bare.call("search_installed_tools", query=7, limit="x")
    unknown = await bare.ask("tools/call", name="no_such_tool", arguments={})

    assert missing["isError"]
    assert "`context` is missing" in missing["content"][0]["text"]
    assert "`query` must be string; `limit` must be integer" in wrong["content"][0]["text"]
    assert unknown["error"]["code"] == -32602


async def test_tools_are_found_by_what_they_do(bare: Mcp, files: str) -> None:
    await bare.tools()

    found = (await bare.call("search_installed_tools", query="read a text file"))["structuredContent"]

    names = [tool["name"] for tool in found["tools"]]
    assert names[0].startswith(f"{BUILT_IN}__read")
    assert found["tools"][0]["inputSchema"]["properties"]


@pytest.mark.parametrize("mcp", [McpConfig(tool_list="progressive")])
async def test_a_progressive_list_has_two_tools_that_lead_to_all(bare: Mcp, files: str) -> None:
    assert await bare.tools() == ["search_tools", "call_tool"]

    found = await bare.call("search_tools", query="echo")
    name = found["structuredContent"]["tools"][0]["name"]
    called = await bare.call("call_tool", name=name, arguments={"text": "through two tools"})

    assert name == "files__echo"
    assert called["content"][0]["text"] == "through two tools"
    inside = await bare.ask("tools/call", name="call_tool", arguments={"name": "call_tool"})
    assert inside["error"]["code"] == -32602


async def test_servers_are_started_and_stopped_by_those_who_administer(
    client: TestClient, files: str
) -> None:
    page = Mcp(client, headers={"Origin": "http://localhost:3000"})
    person = Mcp(client)

    assert "stop_mcp_server" in await person.tools()
    assert "stop_mcp_server" not in await page.tools()
    assert (await page.call("files__echo", text="hi"))["content"][0]["text"] == "hi"
    refused = await page.call("stop_mcp_server", name=files)
    stopped = await person.call("stop_mcp_server", name=files)

    assert "may not administer" in refused["content"][0]["text"]
    assert stopped["structuredContent"]["status"]["state"] == "stopped"
    assert "files__echo" not in await person.tools()
    await person.call("start_mcp_server", name=files)
    assert "files__echo" in await person.tools()


async def test_own_resources_and_prompts(bare: Mcp, files: str) -> None:
    listed = (await bare.ask("resources/list"))["result"]["resources"]
    read = {uri: await bare.ask("resources/read", uri=uri) for uri in (item["uri"] for item in listed)}
    one = await bare.ask("resources/read", uri="archestra://servers/files")
    none = await bare.ask("resources/read", uri="archestra://servers/nobody")
    prompt = await bare.ask("prompts/get", name="diagnose_mcp_server", arguments={"name": "files"})

    assert set(read) == {"archestra://servers", "archestra://context", "archestra://requests/recent"}
    servers = json.loads(read["archestra://servers"]["result"]["contents"][0]["text"])["servers"]
    assert [server["name"] for server in servers] == ["files", BUILT_IN]
    assert json.loads(one["result"]["contents"][0]["text"])["name"] == "files"
    assert none["error"]["code"] == -32002
    assert "The MCP server files" in prompt["result"]["messages"][0]["content"]["text"]


async def test_resources_and_prompts_of_servers_are_there(bare: Mcp, reference: str) -> None:
    resources = (await bare.ask("resources/list"))["result"]["resources"]
    templates = (await bare.ask("resources/templates/list"))["result"]["resourceTemplates"]
    prompts = (await bare.ask("prompts/list"))["result"]["prompts"]
    read = await bare.ask("resources/read", uri="test://template/5/data")
    prompt = await bare.ask("prompts/get", name="reference__test_simple_prompt")

    assert "test://static-text" in [resource["uri"] for resource in resources]
    assert "test://template/{id}/data" in [template["uriTemplate"] for template in templates]
    assert "reference__test_simple_prompt" in [one["name"] for one in prompts]
    assert '"id": "5"' in read["result"]["contents"][0]["text"]
    assert prompt["result"]["messages"][0]["content"]["text"].startswith("This is a simple prompt")


async def test_a_client_sees_what_it_may(client: TestClient, install: Any, fake: Any, tmp_path: Path) -> None:
    await install("one", fake())
    await install("two", fake())
    config = {"path": str(tmp_path / "x.json"), "format": "json", "servers": ["one"], "tools": ["one__e*"]}
    made = await client.post("/api/external_mcp_client", json={"name": "Some App", "config": config})
    assert made.status == 201, await made.text()

    app = Mcp(client, headers={"X-Client-Name": "Some%20App"})
    tools = [name for name in await app.tools() if "__" in name]
    refused = await app.ask("tools/call", name="two__echo", arguments={})
    servers = (await app.call("list_installed_mcp_servers"))["structuredContent"]["servers"]

    assert tools == ["one__echo", "one__environment", "one__endless_line"]
    assert refused["error"]["code"] == -32602
    assert [server["name"] for server in servers] == ["one"]


async def test_a_server_offers_the_tools_that_it_may(client: TestClient, bare: Mcp, files: str) -> None:
    chosen = await client.put("/api/mcp_server/files/tools", json={"allowed": ["echo"]})
    limited = await bare.tools()
    hidden = await bare.ask("tools/call", name="files__sample", arguments={})
    await client.put("/api/mcp_server/files/tools", json={"allowed": None})

    listed = {tool["name"]: tool["archestra"]["is_allowed"] for tool in (await chosen.json())["tools"]}
    assert (listed["echo"], listed["sample"]) == (True, False)
    assert [name for name in limited if name.startswith("files__")] == ["files__echo"]
    assert hidden["error"]["code"] == -32602
    assert "files__sample" in await bare.tools()


async def test_a_tool_is_known_by_its_cost_and_its_use(client: TestClient, bare: Mcp, files: str) -> None:
    for _ in range(3):
        await bare.call("files__echo", text="hi")
    await client.post("/mcp_proxy/files", json=message("tools/call", name="echo", arguments={}))

    tools = await (await client.get("/api/mcp_server/files/tools")).json()

    echo = next(tool for tool in tools["tools"] if tool["name"] == "echo")["archestra"]
    assert (echo["name"], echo["uses"]) == ("files__echo", 4)
    assert echo["last_used_at"].startswith("20")
    assert tools["tokens"] == sum(tool["archestra"]["tokens"] for tool in tools["tools"]) > 200


async def test_calls_are_logged_with_their_server_tool_and_client(
    client: TestClient, begin: Any, files: str, app: web.Application
) -> None:
    session = await begin("logged")

    await session.call("files__echo", text="hi")

    row = (await app[keys.REQUEST_LOG].list_page({"tool_name": "echo"}, 10))["data"][0]
    assert (row["server_name"], row["method"], row["status_code"]) == ("files", "tools/call", 200)
    assert row["client_info"]["client_name"] == "logged"
    assert row["mcp_session_id"] == session.id


async def test_a_new_client_needs_no_session(client: TestClient, files: str) -> None:
    discovered = await (await modern(client, "server/discover")).json()
    listed = await (await modern(client, "tools/list")).json()
    called = await (await modern(client, "tools/call", "files__echo", name="files__echo")).json()
    unknown = await modern(client, "no/such/method")
    removed = await modern(client, "ping")

    assert discovered["result"]["supportedVersions"][0] == "2026-07-28"
    assert (listed["result"]["resultType"], listed["result"]["cacheScope"]) == ("complete", "private")
    assert called["result"]["resultType"] == "complete"
    for answer in (unknown, removed):
        assert (answer.status, (await answer.json())["error"]["code"]) == (404, -32601)


async def test_the_end_of_the_gateway_ends_what_listens(client: TestClient, app: web.Application) -> None:
    listening = await modern(client, "subscriptions/listen", notifications={"toolsListChanged": True})
    await event(listening)

    app[keys.MCP_GATEWAY].stop()

    last = await event(listening)
    assert last["result"]["_meta"] == {
        "io.modelcontextprotocol/subscriptionId": 7,
        "io.modelcontextprotocol/serverInfo": last["result"]["_meta"]["io.modelcontextprotocol/serverInfo"],
    }


def message(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


async def event(answer: Any) -> Any:
    """The next message of a stream."""
    assert answer.status == 200, await answer.text()
    async with asyncio.timeout(10):
        async for line in answer.content:
            if line.startswith(b"data: "):
                return json.loads(line[6:])
    return None

"""Clients and servers of different eras, with the gateway between them."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
from aiohttp.test_utils import TestClient

NEW = Path(__file__).parent.parent / "fakes" / "new_server.py"
STREAM = "application/json, text/event-stream"
PREFIX = "io.modelcontextprotocol/"
ADA = {"action": "accept", "content": {"name": "Ada"}}
ASKING = {"elicitation": {}, "sampling": {}, "roots": {}}

both_endpoints = pytest.mark.parametrize("path", ["/mcp_proxy/new", "/mcp"])


@pytest.fixture
async def new(install: Any) -> str:
    """A server of the new era alone."""
    await install("new", {"transport": "stdio", "command": sys.executable, "args": ["-S", "-E", str(NEW)]})
    return "new"


@attrs.define(eq=False)
class OldClient:
    """A session; `replies` are its answers to questions, in their order."""

    client: TestClient
    path: str
    id: str = ""
    capabilities: dict[str, Any] = attrs.field(factory=dict)
    replies: list[dict[str, Any]] = attrs.field(factory=list)
    heard: list[dict[str, Any]] = attrs.field(factory=list)

    async def post(self, message: dict[str, Any]) -> Any:
        headers = {"Accept": STREAM, **({"Mcp-Session-Id": self.id} if self.id else {})}
        return await self.client.post(self.path, json={"jsonrpc": "2.0", **message}, headers=headers)

    async def begin(self) -> dict[str, Any]:
        info = {"name": "old", "version": "1"}
        params = {"protocolVersion": "2025-06-18", "capabilities": self.capabilities, "clientInfo": info}
        answer = await self.post({"id": 0, "method": "initialize", "params": params})
        self.id = answer.headers["Mcp-Session-Id"]
        await self.post({"method": "notifications/initialized"})
        return dict(await answer.json())

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """What comes before the answer is kept in `heard`."""
        answer = await self.post({"id": 1, "method": method, "params": params})
        if answer.content_type == "application/json":
            return dict(await answer.json())
        async for line in answer.content:
            if line.startswith(b"data: "):
                message = json.loads(line[6:])
                if "method" not in message:
                    return dict(message)
                self.heard.append(message)
                if "id" in message:
                    await self.post({"id": message["id"], **self.replies.pop(0)})
        raise AssertionError("The stream ended without an answer")

    def tool(self, name: str) -> str:
        return name if self.path.startswith("/mcp_proxy") else f"{NEW_NAME}__{name}"

    async def text(self, tool: str, **arguments: Any) -> str:
        answer = await self.ask("tools/call", name=self.tool(tool), arguments=arguments)
        return str(answer["result"]["content"][0]["text"])


NEW_NAME = "new"


@both_endpoints
async def test_an_old_client_uses_a_new_server(client: TestClient, new: str, path: str) -> None:
    old = OldClient(client, path, capabilities=ASKING, replies=[{"result": ADA}])
    opened = (await old.begin())["result"]

    tools = [tool["name"] for tool in (await old.ask("tools/list"))["result"]["tools"]]
    name = await old.text("ask_name")
    read = await old.ask("resources/read", uri="memory://1")

    assert opened["protocolVersion"] == "2025-06-18"
    assert old.tool("echo") in tools
    assert name == "Ada, kept by the client"
    assert [message["method"] for message in old.heard] == ["elicitation/create"]
    assert read["result"]["contents"][0]["text"] == "one"


@both_endpoints
async def test_an_old_client_cancels_at_a_new_server(client: TestClient, new: str, path: str) -> None:
    old = OldClient(client, path)
    await old.begin()
    params = {"name": old.tool("slow"), "arguments": {"tag": "x"}, "_meta": {"progressToken": "p"}}
    working = asyncio.create_task(old.ask("tools/call", **params))
    async with asyncio.timeout(10):
        while not old.heard:
            await asyncio.sleep(0.02)
    await old.post({"method": "notifications/cancelled", "params": {"requestId": 1}})
    answer = await working

    assert old.heard[0]["params"]["progressToken"] == "p"
    assert answer["error"]["code"] == -32800
    async with asyncio.timeout(5):
        while await old.text("what_was_cancelled") != '["x"]':
            await asyncio.sleep(0.02)


@both_endpoints
async def test_an_old_client_hears_news_of_a_new_server(client: TestClient, new: str, path: str) -> None:
    old = OldClient(client, path)
    await old.begin()
    await old.text("echo")
    await old.ask("resources/subscribe", uri="memory://1")
    stream = await client.get(path, headers={"Mcp-Session-Id": old.id, "Accept": STREAM})
    await old.text("update_resource")
    await old.text("change_tools")

    missing = {"notifications/resources/updated", "notifications/tools/list_changed"}
    async with asyncio.timeout(10):
        while missing:
            line = await stream.content.readline()
            if line.startswith(b"data: "):
                missing.discard(json.loads(line[6:])["method"])


def modern(
    method: str,
    called: str = "",
    capabilities: dict[str, Any] | None = None,
    meta: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
    **params: Any,
) -> dict[str, Any]:
    """The body and the headers of a request of the new era."""
    said = {f"{PREFIX}protocolVersion": "2026-07-28", f"{PREFIX}clientCapabilities": capabilities or {}}
    said |= {f"{PREFIX}clientInfo": {"name": "newest", "version": "2"}, **(meta or {})}
    sent = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method, "Mcp-Name": called, "Accept": STREAM}
    return {
        "json": {"jsonrpc": "2.0", "id": 7, "method": method, "params": {**params, "_meta": said}},
        "headers": {name: value for name, value in {**sent, **(headers or {})}.items() if value},
    }


@attrs.frozen
class NewClient:
    """Without a session; `server` is whose tools it calls."""

    client: TestClient
    path: str
    server: str = "new"
    capabilities: dict[str, Any] = attrs.field(factory=dict)

    async def call(self, tool: str, arguments: Any = None, /, **params: Any) -> Any:
        name = tool if self.path.startswith("/mcp_proxy") else f"{self.server}__{tool}"
        wanted = {"capabilities": self.capabilities, **params}
        request = modern("tools/call", name, name=name, arguments=arguments or {}, **wanted)
        return await self.client.post(self.path, **request)

    async def result(self, tool: str, arguments: Any = None, /, **params: Any) -> Any:
        return (await read(await self.call(tool, arguments, **params)))["result"]


async def read(answer: Any) -> dict[str, Any]:
    """The answer itself, though it be the last event of a stream."""
    text = await answer.text()
    if answer.content_type == "text/event-stream":
        text = [line for line in text.splitlines() if line.startswith("data: ")][-1][6:]
    return dict(json.loads(text))


@both_endpoints
async def test_a_new_client_speaks_straight_to_a_new_server(client: TestClient, new: str, path: str) -> None:
    newest = NewClient(client, path, capabilities=ASKING)

    asked = await newest.result("ask_name")
    retry = {"inputResponses": {"who": ADA}, "requestState": asked["requestState"]}
    answered = await newest.result("ask_name", **retry)
    missing = await NewClient(client, path).call("ask_name")
    seen = json.loads((await newest.result("received", meta={"mine": 1}))["content"][0]["text"])

    assert (asked["resultType"], asked["requestState"]) == ("input_required", "kept by the client")
    assert asked["inputRequests"]["who"]["method"] == "elicitation/create"
    assert answered["content"][0]["text"] == "Ada, kept by the client"
    assert (missing.status, (await read(missing))["error"]["code"]) == (400, -32021)
    assert seen["_meta"] == {
        f"{PREFIX}protocolVersion": "2026-07-28",
        f"{PREFIX}clientCapabilities": ASKING,
        f"{PREFIX}clientInfo": {"name": "newest", "version": "2"},
        "mine": 1,
    }

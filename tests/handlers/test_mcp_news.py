"""Who hears that a resource has changed: the gateway's own ones, and those of servers that die in between."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from archestra_gateway.app import create_app
from archestra_gateway.config import Config, McpConfig

OLD = Path(__file__).parent.parent / "fakes" / "old_server.py"
STREAM = "application/json, text/event-stream"
PREFIX = "io.modelcontextprotocol/"
UPDATED = "notifications/resources/updated"


@pytest.fixture
async def old(install: Any) -> str:
    args = ["-S", "-E", str(OLD)]
    await install("old", {"transport": "stdio", "command": sys.executable, "args": args})
    return "old"


class Session:
    """One with /mcp, by hand."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.headers = {"Accept": "application/json"}

    async def begin(self, name: str) -> None:
        info = {"name": name, "version": "1"}
        params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": info}
        answer = await self.post("initialize", **params)
        self.headers["Mcp-Session-Id"] = answer.headers["Mcp-Session-Id"]

    async def post(self, method: str, **params: Any) -> Any:
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return await self.client.post("/mcp", json=message, headers=self.headers)

    async def ask(self, method: str, **params: Any) -> Any:
        return await (await self.post(method, **params)).json()

    async def call(self, tool: str, **arguments: Any) -> Any:
        return await self.ask("tools/call", name=tool, arguments=arguments)

    async def asked_for(self) -> tuple[str, list[str]]:
        """What the server `old` was asked for."""
        about = json.loads((await self.call("old__about"))["result"]["content"][0]["text"])
        return about["level"], about["subscriptions"]

    async def updates(self) -> AsyncIterator[str]:
        """The URIs of what changes from now on."""
        answer = await self.client.get("/mcp", headers={**self.headers, "Accept": STREAM})
        return uris(answer)


async def uris(answer: Any) -> AsyncIterator[str]:
    async for line in answer.content:
        if line.startswith(b"data: "):
            message = json.loads(line[6:])
            if message.get("method") == UPDATED:
                yield message["params"]["uri"]


@pytest.fixture
def begin(client: TestClient) -> Callable[..., Any]:
    async def begun(name: str = "me", *watched: str) -> Session:
        session = Session(client)
        await session.begin(name)
        for uri in watched:
            assert (await session.ask("resources/subscribe", uri=uri))["result"] == {}
        return session

    return begun


async def listen(client: TestClient, path: str, *watched: str) -> Any:
    """What a client of the new era hears, from the acknowledgement on."""
    meta = {f"{PREFIX}protocolVersion": "2026-07-28", f"{PREFIX}clientCapabilities": {}}
    params = {"notifications": {"resourceSubscriptions": list(watched)}, "_meta": meta}
    message = {"jsonrpc": "2.0", "id": "l", "method": "subscriptions/listen", "params": params}
    headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": message["method"], "Accept": STREAM}
    answer = await client.post(path, json=message, headers=headers)
    while b"acknowledged" not in (line := await answer.content.readline()):
        pass
    return answer, json.loads(line[6:])["params"]["notifications"]


async def first(heard: AsyncIterator[str]) -> str:
    async with asyncio.timeout(10):
        return await anext(heard)


async def until_all(heard: AsyncIterator[str], *wanted: str) -> None:
    missing = set(wanted)
    while missing:
        missing.discard(await first(heard))


async def said(client: TestClient, server: str, line: str, times: int = 1) -> None:
    """Until the server's stderr has the line so often."""
    async with asyncio.timeout(10):
        while True:
            logs = await (await client.get(f"/api/mcp_server/{server}/logs")).json()
            if [each["text"] for each in logs["lines"]].count(line) >= times:
                return
            await asyncio.sleep(0.02)


async def test_a_context_is_news_to_the_client_that_owns_it(begin: Any) -> None:
    me, again = await begin("me", "archestra://context"), await begin("me")
    another = await begin("another", "archestra://context", "archestra://servers")
    mine, others = await me.updates(), await another.updates()

    await again.call("update_context", context={"likes": "tea"})

    assert await first(mine) == "archestra://context"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.6):
            await anext(others)


async def test_servers_are_news_when_they_come_and_when_they_fare_otherwise(
    begin: Any, client: TestClient, install: Any, fake: Any
) -> None:
    await install("files", fake())
    session = await begin("me", "archestra://servers", "archestra://servers/files")
    heard = await session.updates()

    await client.post("/api/mcp_server/files/start", json={})
    await until_all(heard, "archestra://servers", "archestra://servers/files")
    await install("more", fake())
    await until_all(heard, "archestra://servers")


async def test_calls_are_news_and_to_read_of_them_is_none(begin: Any, client: TestClient, files: str) -> None:
    session = await begin("me", "archestra://requests/recent")
    heard = await session.updates()
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}

    await session.ask("resources/read", uri="archestra://requests/recent")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.6):
            await anext(heard)
    heard = await session.updates()
    await client.post(f"/mcp_proxy/{files}", json=call)

    assert await first(heard) == "archestra://requests/recent"


async def test_what_a_client_may_not_read_it_is_not_told_of(begin: Any) -> None:
    session = await begin("me", "archestra://servers")

    missing = await session.ask("resources/subscribe", uri="archestra://servers/nobody")
    heard = await session.updates()
    await session.ask("resources/unsubscribe", uri="archestra://servers")
    await session.call("update_context", context={"likes": "tea"})

    assert missing["error"]["code"] == -32002
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.6):
            await anext(heard)


async def test_a_new_client_hears_of_the_gateways_own(begin: Any, client: TestClient) -> None:
    answer, honoured = await listen(client, "/mcp", "archestra://context", "archestra://servers/nobody")
    session = await begin("default")
    await session.call("update_context", context={"likes": "tea"})

    assert honoured == {"resourceSubscriptions": ["archestra://context"]}
    assert await first(uris(answer)) == "archestra://context"


async def test_a_session_outlives_its_server_with_its_subscriptions_and_its_level(
    begin: Any, client: TestClient, old: str
) -> None:
    session = await begin("me")
    await session.ask("tools/list")
    await session.ask("logging/setLevel", level="error")
    await session.ask("resources/subscribe", uri="memory://1")
    heard = await session.updates()

    await session.call("old__crash")
    await said(client, old, "subscribed memory://1", times=2)
    missed = await first(heard)
    await session.call("old__update_resource")

    assert missed == await first(heard) == "memory://1"
    assert await session.asked_for() == ("error", ["memory://1"])


@pytest.mark.parametrize("mcp", [McpConfig(max_sessions=2, allow_root=True)])
async def test_a_session_wakes_with_its_subscriptions_and_its_level(
    begin: Any, client: TestClient, old: str
) -> None:
    session = await begin("me")
    await session.ask("logging/setLevel", level="error")
    await session.ask("tools/list")
    for uri in ("memory://1", "memory://gone", "archestra://context"):
        await session.ask("resources/subscribe", uri=uri)
    await session.ask("resources/unsubscribe", uri="memory://gone")
    await begin("another")
    await begin("a third")

    heard = await session.updates()
    await said(client, old, "subscribed memory://1", times=2)
    await until_all(heard, "archestra://context", "memory://1")
    await session.call("old__update_resource")

    assert await first(heard) == "memory://1"
    assert await session.asked_for() == ("error", ["memory://1"])


async def test_a_restart_keeps_subscriptions_and_level(
    begin: Any,
    client: TestClient,
    old: str,
    config: Config,
    serve: Callable[[web.Application], Awaitable[TestClient]],
) -> None:
    session = await begin("me")
    await session.ask("tools/list")
    await session.ask("logging/setLevel", level="error")
    await session.ask("resources/subscribe", uri="memory://1")
    await client.close()

    session.client = await serve(create_app(config, os.environ))
    first_answer = await session.asked_for()
    heard = await session.updates()
    await until_all(heard, "memory://1")
    await session.call("old__update_resource")

    assert first_answer == ("error", ["memory://1"])
    assert await first(heard) == "memory://1"


async def test_a_level_that_there_is_not_is_refused(begin: Any) -> None:
    session = await begin("me")

    refused = await session.ask("logging/setLevel", level="loud")

    assert refused["error"]["code"] == -32602


async def test_a_session_has_no_room_for_any_number_of_subscriptions(begin: Any, old: str) -> None:
    session = await begin("me", "archestra://context")
    await session.ask("tools/list")
    uris = [f"memory://{number}" for number in range(999)]
    subscribed = await asyncio.gather(*(session.ask("resources/subscribe", uri=uri) for uri in uris))

    one_more = await session.ask("resources/subscribe", uri="memory://more")
    await session.ask("resources/unsubscribe", uri="memory://5")
    again = await session.ask("resources/subscribe", uri="memory://more")

    assert {str(answer["result"]) for answer in subscribed} == {"{}"}
    assert one_more["error"]["code"] == -32602
    assert again["result"] == {}


@pytest.mark.parametrize("path", ["/mcp", "/mcp_proxy/old"])
async def test_who_listens_outlives_the_server(client: TestClient, old: str, path: str) -> None:
    await client.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    answer, _ = await listen(client, path, "memory://1")
    second, _ = await listen(client, path, "memory://1")
    await said(client, old, "subscribed memory://1")
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}

    await client.post("/mcp_proxy/old", json={**call, "params": {"name": "crash"}})
    await said(client, old, "subscribed memory://1", times=2)
    await client.post("/mcp_proxy/old", json={**call, "params": {"name": "update_resource"}})
    heard = await first(uris(answer))
    answer.close()
    still = await first(uris(second))
    second.close()

    assert heard == still == "memory://1"
    await said(client, old, "unsubscribed memory://1")

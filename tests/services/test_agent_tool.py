"""Which tools a chat has, and that no server makes it wait."""

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
from archestra_gateway.config import AgentConfig, Config, LlmConfig, McpConfig, OllamaConfig, ServerConfig
from archestra_gateway.services.agent_tool import GRACE

CHILD = Path(__file__).parent.parent / "fakes" / "mcp_child.py"
CHAT = "/api/agent/chat"

Json = dict[str, Any]
Add = Callable[..., Awaitable[None]]
Ask = Callable[..., AsyncIterator[Json]]


@pytest.fixture
def config(tmp_path: Path, model_url: str) -> Config:
    return Config(
        server=ServerConfig(port=0, data_dir=tmp_path / "data"),
        mcp=McpConfig(start_timeout=600, list_timeout=10),
        llm=LlmConfig(ollama=OllamaConfig(url=model_url)),
        agent=AgentConfig(titles=False),
    )


@pytest.fixture
def app(config: Config) -> web.Application:
    return create_app(config, {**os.environ, "SHELL": "/bin/sh"})


def child(*flags: str) -> Json:
    return {"transport": "stdio", "command": sys.executable, "args": ["-S", "-E", str(CHILD), *flags]}


@pytest.fixture
async def add(client: TestClient) -> Add:
    """await add("fake"): a server of that name, and none that is there by itself."""
    await client.delete("/api/mcp_server/filesystem-server")

    async def added(name: str, *flags: str) -> None:
        answer = await client.post("/api/mcp_server", json={"name": name, "server_config": child(*flags)})
        assert answer.status == 201

    return added


async def ask(client: TestClient, model: str = "words", **more: Any) -> AsyncIterator[Json]:
    """The chunks of an answer as they come."""
    messages = [{"role": "user", "content": "Hi"}]
    async with client.post(CHAT, json={"messages": messages, "model": model, **more}) as answer:
        assert answer.status == 200
        async for line in answer.content:
            if line.startswith(b"data: {"):
                yield json.loads(line[6:])


async def notices(client: TestClient, **more: Any) -> list[str]:
    return [chunk["data"]["message"] async for chunk in ask(client, **more) if chunk["type"] == "data-notice"]


@pytest.fixture
def offered(client: TestClient, model_url: str) -> Callable[[], Awaitable[set[str]]]:
    """The names of the tools in the last request that a model got."""

    async def names() -> set[str]:
        async with client.session.get(f"{model_url}/asked") as answer:
            last = (await answer.json())[-1]
        return {tool["function"]["name"] for tool in last.get("tools", ())}

    return names


async def test_the_first_event_waits_for_no_server(client: TestClient, add: Add) -> None:
    await add("mute", "--mute")
    loop = asyncio.get_running_loop()

    since = loop.time()
    first = await anext(ask(client))

    assert first["type"] == "start"
    assert loop.time() - since < GRACE


async def test_a_server_that_does_not_answer_is_waited_for_once(
    client: TestClient, add: Add, offered: Any
) -> None:
    await add("mute", "--mute")
    await add("fake")
    await client.get("/api/mcp_server/fake/tools")
    late = "The tools of mute are left out: It did not say what it offers within 1 seconds"
    assert await notices(client) == [late]

    chunks = [chunk async for chunk in ask(client)]

    [finish] = [chunk for chunk in chunks if chunk["type"] == "finish"]
    assert finish["messageMetadata"]["timings"]["first_token_ms"] < GRACE * 1000
    assert "fake__echo" in await offered()


async def test_a_broken_server_says_why_its_tools_are_missing(client: TestClient, add: Add) -> None:
    await add("broken", "--crash")

    [first] = await notices(client, tools=["broken"])
    [second] = await notices(client)

    assert first.startswith("The tools of broken are left out: The MCP server broken")
    assert second == first


async def test_tools_are_known_without_starting_their_server(
    config: Config, client: TestClient, add: Add, serve: Any, offered: Any
) -> None:
    await add("fake")
    await client.get("/api/mcp_server/fake/tools")
    await client.server.close()
    again = await serve(create_app(config, {**os.environ, "SHELL": "/bin/sh"}))

    assert await notices(again) == []

    assert "fake__echo" in await offered()
    known = await (await again.get("/api/mcp_server/fake")).json()
    assert known["status"]["state"] == "stopped"


async def test_what_is_switched_off_for_a_server_is_not_offered(
    client: TestClient, add: Add, offered: Any
) -> None:
    await add("fake")
    await client.put("/api/mcp_server/fake/tools", json={"allowed": ["echo"]})

    await notices(client, tools=["fake"])

    assert await offered() == {"fake__echo"}


async def test_a_yes_to_another_description_is_none(client: TestClient, add: Add) -> None:
    await add("fake", "--described=Harmless")
    await client.put("/api/agent/permission", json={"server_name": "fake", "decision": "ask"})

    errors = []
    async for chunk in ask(client, "echoes", id="c1", tools=["fake"]):
        if chunk["type"] == "data-approval" and chunk["data"]["state"] == "pending":
            await client.put("/api/mcp_server/fake", json={"server_config": child("--described=Other")})
            await client.post(f"{CHAT}/c1/approval/{chunk['data']['id']}", json={"decision": "allow"})
        if chunk["type"] == "tool-output-error":
            errors.append(chunk["errorText"])

    assert errors == ["The tool's description has changed since the user was asked: make the call again"]

"""Real MCP clients and servers with the gateway between them."""

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from mcp import ClientSession, types
from mcp.client.streamable_http import streamable_http_client

from archestra_gateway.config import Config

NODE = Path(__file__).parent.parent / "node" / "node_modules" / "@modelcontextprotocol"

needs_node = pytest.mark.skipif(not NODE.exists(), reason="scripts/setup test installs the npm packages")


def url(client: TestClient, server: str) -> str:
    return str(client.make_url(f"/mcp_proxy/{server}"))


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": name, "arguments": arguments},
    }


async def test_the_documented_example_works_as_printed(client: TestClient, config: Config) -> None:
    file = config.server.data_dir / "files" / "data.txt"
    file.write_text("hello from a file")
    message = call("read_file", path=str(file))
    del message["id"]

    answer = await client.post("/mcp_proxy/filesystem-server", json=message)

    assert answer.status == 200
    assert "hello from a file" in await answer.text()


async def test_the_python_sdk_lists_and_calls(client: TestClient, files: str) -> None:
    heard: list[float] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        heard.append(done)

    async with (
        streamable_http_client(url(client, files)) as (read, write, *_),
        ClientSession(read, write) as session,
    ):
        initialized = await session.initialize()
        tools = await session.list_tools()
        echoed = await session.call_tool("echo", {"text": "hi"})
        await session.call_tool("progress", {"steps": 2}, progress_callback=progress)

    assert initialized.protocol_version == "2025-11-25"
    assert "echo" in [tool.name for tool in tools.tools]
    assert isinstance(echoed.content[0], types.TextContent)
    assert echoed.content[0].text == "hi"
    assert heard == [0, 1]


async def test_the_python_sdk_answers_a_servers_question(client: TestClient, files: str) -> None:
    async def sample(context: Any, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
        content = types.TextContent(type="text", text="sampled")
        return types.CreateMessageResult(role="assistant", content=content, model="none")

    async with (
        streamable_http_client(url(client, files)) as (read, write, *_),
        ClientSession(read, write, sampling_callback=sample) as session,
    ):
        await session.initialize()
        answer = await session.call_tool("sample", {})

    assert isinstance(answer.content[0], types.TextContent)
    assert json.loads(answer.content[0].text)["result"]["content"]["text"] == "sampled"


@needs_node
async def test_server_everything_answers_the_sdk(client: TestClient, install: Any) -> None:
    program = NODE / "server-everything" / "dist" / "index.js"
    await install("everything", {"transport": "stdio", "command": "node", "args": [str(program), "stdio"]})

    async with (
        streamable_http_client(url(client, "everything")) as (read, write, *_),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        tools = await session.list_tools()
        resources = await session.list_resources()
        prompts = await session.list_prompts()
        echoed = await session.call_tool("echo", {"message": "hi"})

    assert "echo" in [tool.name for tool in tools.tools]
    assert resources.resources
    assert prompts.prompts
    assert "hi" in str(echoed.content[0])


@needs_node
async def test_server_filesystem_answers_a_bare_call(
    client: TestClient, install: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "data.txt").write_text("read by node")
    program = NODE / "server-filesystem" / "dist" / "index.js"
    config = {"transport": "stdio", "command": "node", "args": [str(program), str(folder)]}
    await install("node-files", config, read_only=[str(folder)])

    read = await client.post(
        "/mcp_proxy/node-files", json=call("read_text_file", path=str(folder / "data.txt"))
    )
    server = await (await client.get("/api/mcp_server/node-files")).json()

    assert "read by node" in await read.text()
    assert server["status"]["state"] == "running"

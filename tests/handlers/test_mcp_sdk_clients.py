"""Real MCP clients at the gateway: the Python SDK in its modes, the Inspector, mcp-remote."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from mcp import Client, ClientSession, types
from mcp.client.stdio import StdioServerParameters, stdio_client

NODE = Path(__file__).parent.parent / "node" / "node_modules"
PROGRAM = NODE / "node-22" / "bin" / "node"
INSPECTOR = NODE / "@modelcontextprotocol" / "inspector" / "clients" / "launcher" / "build" / "index.js"
REMOTE = NODE / "mcp-remote" / "dist" / "proxy.js"

needs_node = pytest.mark.skipif(not PROGRAM.exists(), reason="scripts/setup test installs the npm packages")


async def accept(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content={"name": "Ada", "response": "Ada"})


@pytest.mark.parametrize(
    ("mode", "version", "asking"),
    [
        ("auto", "2026-07-28", "test_input_required_result_elicitation"),
        ("2026-07-28", "2026-07-28", "test_input_required_result_elicitation"),
        ("legacy", "2025-11-25", "test_elicitation"),
    ],
)
async def test_the_python_sdk_in_every_mode(
    client: TestClient, reference: str, mode: str, version: str, asking: str
) -> None:
    url = str(client.make_url("/mcp"))
    async with Client(url, mode=mode, elicitation_callback=accept) as sdk:
        tools = await sdk.list_tools()
        called = await sdk.call_tool("reference__test_simple_text", {})
        asked = await sdk.call_tool(f"reference__{asking}", {"message": "Who are you?"})
        read = await sdk.read_resource("archestra://servers")
        prompts = await sdk.list_prompts()
        spoken = sdk.protocol_version

    assert spoken == version
    assert {"get_context", "reference__test_simple_text"} <= {tool.name for tool in tools.tools}
    assert "simple text response" in str(called.content[0])
    assert "Ada" in str(asked.content[0])
    assert "reference" in str(read.contents[0])
    assert "diagnose_mcp_server" in {prompt.name for prompt in prompts.prompts}


async def test_the_python_sdk_speaks_the_new_era_to_one_server(client: TestClient, files: str) -> None:
    async with Client(str(client.make_url(f"/mcp_proxy/{files}")), mode="auto") as sdk:
        called = await sdk.call_tool("echo", {"text": "hello"})
        spoken = sdk.protocol_version

    assert spoken == "2026-07-28"
    assert "hello" in str(called.content[0])


@needs_node
async def test_the_inspector_lists_and_calls(client: TestClient, reference: str) -> None:
    tools = await inspect(client, "tools/list")
    called = await inspect(client, "tools/call", "--tool-name", "reference__test_simple_text")

    assert "reference__test_simple_text" in [tool["name"] for tool in tools["tools"]]
    assert "simple text response" in called["content"][0]["text"]


@needs_node
async def test_mcp_remote_connects_a_client_of_stdio(
    client: TestClient, reference: str, tmp_path: Path
) -> None:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "MCP_REMOTE_CONFIG_DIR": str(tmp_path)}
    arguments = [str(REMOTE), str(client.make_url("/mcp"))]
    parameters = StdioServerParameters(command=str(PROGRAM), args=arguments, env=environment)
    with (tmp_path / "stderr").open("w") as stderr:
        async with (
            stdio_client(parameters, errlog=stderr) as (read, write),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = await session.list_tools()
            called = await session.call_tool("reference__test_simple_text", {})

    assert "reference__test_simple_text" in {tool.name for tool in tools.tools}
    assert "simple text response" in str(called.content[0])


async def inspect(client: TestClient, method: str, *flags: str) -> Any:
    url = str(client.make_url("/mcp"))
    process = await asyncio.create_subprocess_exec(
        str(PROGRAM),
        *(str(INSPECTOR), "--cli", url, "--transport", "http", "--method", method, *flags),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return json.loads(said)

"""Real servers behind the gateway, made with the Python and the TypeScript SDK."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from mcp import Client, types

from archestra_gateway.config import McpConfig

TESTS = Path(__file__).parent.parent
NODE = TESTS / "node" / "node_modules" / "node-22" / "bin" / "node"
TYPESCRIPT = [str(NODE), str(TESTS / "node" / "sdk_server.mjs")]
PYTHON = [sys.executable, str(TESTS / "fakes" / "sdk_server.py")]


@pytest.fixture
def mcp() -> McpConfig:
    """With the patience that an SDK's import wants on a busy machine."""
    return McpConfig(start_timeout=60, list_timeout=60, request_timeout=60, allow_root=True)


def a_port() -> int:
    """Below those that the system gives away."""
    for port in range(20_000, 32_000, 7):
        with socket.socket() as taken:
            if taken.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("There is no free port")


SERVERS = {
    "python over stdio": (PYTHON, False),
    "python over http": (PYTHON, True),
    "typescript over stdio": (TYPESCRIPT, False),
    "typescript over http": (TYPESCRIPT, True),
    "typescript of the new era over stdio": ([*TYPESCRIPT, "--reject"], False),
    "typescript of the new era over http": ([*TYPESCRIPT, "--reject"], True),
}


@pytest.fixture(params=SERVERS.values(), ids=SERVERS)
async def sdk(request: pytest.FixtureRequest, install: Any) -> AsyncIterator[str]:
    command, is_http = request.param
    if command[0] == str(NODE) and not NODE.exists():
        pytest.skip("scripts/setup test installs the npm packages")
    if not is_http:
        await install(
            "sdk", {"transport": "stdio", "command": command[0], "args": command[1:]}, sandbox="off"
        )
        yield "sdk"
        return
    port = [str(a_port())] if command is PYTHON else []
    process = await asyncio.create_subprocess_exec(
        *command, "--http", *port, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    if port:
        while b"running on" not in await process.stderr.readline():
            pass
    listening = port[0] if port else (await process.stdout.readline()).decode().strip()
    await install("sdk", {"transport": "http", "url": f"http://127.0.0.1:{listening}/mcp"})
    yield "sdk"
    process.kill()
    await process.communicate()


async def accept(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
    assert params.message == "Who?"
    return types.ElicitResult(action="accept", content={"name": "Ada"})


@pytest.mark.parametrize("path", ["/mcp", "/mcp_proxy/sdk"])
async def test_every_client_is_asked_by_every_server(client: TestClient, sdk: str, path: str) -> None:
    url = str(client.make_url(path))
    prefix = "sdk__" if path == "/mcp" else ""

    for mode, version in (("legacy", "2025-11-25"), ("2026-07-28", "2026-07-28")):
        async with Client(url, mode=mode, elicitation_callback=accept) as one:
            tools = {tool.name for tool in (await one.list_tools()).tools}
            echoed = await one.call_tool(f"{prefix}echo", {"text": "hi"})
            asked = await one.call_tool(f"{prefix}ask_name", {})

            assert one.protocol_version == version
            assert {f"{prefix}echo", f"{prefix}ask_name"} <= tools
            assert echoed.content[0].text == "hi"
            assert asked.content[0].text == "Hello Ada"

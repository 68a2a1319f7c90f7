"""MCP servers behind the gateway, and MCP clients before it."""

import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from aiohttp.test_utils import TestClient

from archestra_gateway.config import Config, McpConfig, ServerConfig

FAKE = Path(__file__).parent.parent / "fakes" / "mcp_child.py"
REFERENCE = FAKE.with_name("reference_mcp_server.py")


@pytest.fixture
def mcp() -> McpConfig:
    return McpConfig(start_timeout=10, request_timeout=10, allow_root=True)


@pytest.fixture
def config(tmp_path: Path, mcp: McpConfig) -> Config:
    return Config(server=ServerConfig(port=0, data_dir=tmp_path / "data"), mcp=mcp)


def fake_config(*flags: str, program: Path = FAKE, **more: Any) -> dict[str, Any]:
    args = ["-S", "-E", str(program), *flags]
    return {"transport": "stdio", "command": sys.executable, "args": args, **more}


@pytest.fixture
def fake() -> Callable[..., dict[str, Any]]:
    """fake("--crash") → the configuration of a server that crashes."""
    return fake_config


@pytest.fixture
async def reference(client: TestClient) -> str:
    """A server with everything that MCP has."""
    await add(client, "reference", fake_config(program=REFERENCE))
    return "reference"


@pytest.fixture
async def files(client: TestClient) -> str:
    """A fake server that is there, and has not been started."""
    await add(client, "files", fake_config())
    return "files"


async def add(client: TestClient, name: str, config: dict[str, Any], **permissions: Any) -> dict[str, Any]:
    wanted = {"name": name, "server_config": config, "permissions": permissions}
    answer = await client.post("/api/mcp_server", json=wanted)
    assert answer.status == 201, await answer.text()
    return dict(await answer.json())


@pytest.fixture
def install(client: TestClient) -> Callable[..., Any]:
    """await install("name", fake("--crash"), read_only=["/srv"])"""
    return lambda name, config, **permissions: add(client, name, config, **permissions)


@attrs.frozen
class McpSession:
    """A client's session, by hand."""

    client: TestClient
    server: str
    id: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Mcp-Session-Id": self.id, "Accept": "application/json, text/event-stream"}

    async def post(self, message: dict[str, Any], **headers: str) -> Any:
        return await self.client.post(
            f"/mcp_proxy/{self.server}",
            json={"jsonrpc": "2.0", **message},
            headers={**self.headers, **headers},
        )

    def call(self, name: str, identifier: Any = 1, **arguments: Any) -> Any:
        params = {"name": name, "arguments": arguments}
        return self.post({"id": identifier, "method": "tools/call", "params": params})

    async def stream(self) -> Any:
        answer = await self.client.get(f"/mcp_proxy/{self.server}", headers=self.headers)
        assert answer.status == 200
        return events(answer)


async def events(answer: Any) -> AsyncIterator[dict[str, Any]]:
    """The messages of an event stream."""
    assert answer.content_type == "text/event-stream"
    async for line in answer.content:
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


@pytest.fixture
def read_events() -> Callable[..., Any]:
    return events


@pytest.fixture
def open_session(client: TestClient) -> Callable[..., Any]:
    """session = await open_session("files")"""

    async def opened(server: str, name: str = "test") -> McpSession:
        info = {"name": name, "version": "1.2"}
        params = {"protocolVersion": "2025-11-25", "capabilities": {"sampling": {}}, "clientInfo": info}
        message = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
        answer = await client.post(f"/mcp_proxy/{server}", json=message)
        assert answer.status == 200, await answer.text()
        assert (await answer.json())["result"]["serverInfo"]["name"] == "fake"
        session = McpSession(client, server, answer.headers["Mcp-Session-Id"])
        assert (await session.post({"method": "notifications/initialized"})).status == 202
        return session

    return opened

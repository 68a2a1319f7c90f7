"""Confined servers, and an easy way to ask what they could do."""

import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from archestra_gateway.config import McpConfig
from archestra_gateway.protocol import jsonrpc
from archestra_gateway.sandbox.confine import Sandbox
from archestra_gateway.sandbox.grants import Place
from archestra_gateway.schemas.mcp_server import StdioConfig
from archestra_gateway.schemas.permissions import Permissions
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.pool import Pool, open_pool
from archestra_gateway.upstreams.server import Server

FAKES = Path(__file__).parent.parent / "fakes"
GATEWAY_PORT = 54999


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """As a gateway's, with things in it that nobody else may see."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    (folder / "token").write_text("the-token")
    (folder / "gateway.db").write_text("the-database")
    return folder


@pytest.fixture
def sandbox(data_dir: Path) -> Sandbox:
    return Sandbox(Place(data_dir), GATEWAY_PORT)


@pytest.fixture
async def pool(sandbox: Sandbox) -> AsyncIterator[Pool]:
    environment = {**os.environ, "SHELL": "/bin/sh", "DAEMON_SECRET": "of-the-daemon"}
    async with open_pool(McpConfig(request_timeout=30), environment, str, sandbox) as opened:
        yield opened


@attrs.frozen
class Confined:
    """await confined("read", path="/etc/shadow") → what the tool answered."""

    server: Server

    async def __call__(self, tool: str, **arguments: Any) -> Any:
        upstream = await self.server.shared()
        message = jsonrpc.request(1, "tools/call", {"name": tool, "arguments": arguments})
        answer = await upstream.call(Call(message))
        return json.loads(jsonrpc.value(answer["result"])["content"][0]["text"])


@pytest.fixture
def hostile(pool: Pool) -> Callable[..., Confined]:
    """hostile(hosts=["example.com:443"]) → a server under these permissions that tries everything."""

    def make(
        name: str = "hostile",
        env: dict[str, str] | None = None,
        script: Path = FAKES / "hostile_mcp_server.py",
        **permissions: Any,
    ) -> Confined:
        args = ["-S", "-E", str(script)]
        config = StdioConfig(command=sys.executable, args=args, env=env or {})
        return Confined(Server(name, config, pool, Permissions(**permissions)))

    return make

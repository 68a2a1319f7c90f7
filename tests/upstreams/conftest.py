"""A pool whose servers are the fake MCP child, and an easy way to call them."""

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
from archestra_gateway.upstreams.dialogue import Call, Listener
from archestra_gateway.upstreams.pool import Pool, open_pool
from archestra_gateway.upstreams.server import Server
from archestra_gateway.upstreams.upstream import Upstream

FAKE = Path(__file__).parent.parent / "fakes" / "mcp_child.py"


@pytest.fixture
def limits() -> McpConfig:
    return McpConfig(start_timeout=10, request_timeout=10)


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(Place(tmp_path / "data"), gateway_port=0, allows_root=True)


@pytest.fixture
def environment() -> dict[str, str]:
    return {**os.environ, "SHELL": "/bin/sh", "DAEMON_SECRET": "not for children"}


@pytest.fixture
async def pool(limits: McpConfig, sandbox: Sandbox, environment: dict[str, str]) -> AsyncIterator[Pool]:
    async with open_pool(
        limits, environment, lambda text: text.replace("hunter22", "[redacted]"), sandbox
    ) as opened:
        yield opened


@pytest.fixture
def fake(pool: Pool) -> Callable[..., Server]:
    """fake("--crash", name="x") → a server that has not been started."""

    def make(*flags: str, name: str = "fake", **config: Any) -> Server:
        args = ["-S", "-E", str(FAKE), *flags]
        stdio = StdioConfig(command=sys.executable, args=args, **config)
        return Server(name, stdio, pool, Permissions(sandbox="off"))  # it leaves files and pids for the test

    return make


def tool_call(
    name: str, arguments: dict[str, Any] | None = None, identifier: Any = 1, **params: Any
) -> jsonrpc.Message:
    params = {"name": name, "arguments": arguments or {}, **params}
    return jsonrpc.request(identifier, "tools/call", params)


@attrs.frozen
class Caller:
    """call(server, "echo", text="x") → the whole answer as plain values."""

    async def __call__(self, server: Server, name: str, **arguments: Any) -> dict[str, Any]:
        return await self.on(await server.shared(), name, arguments)

    async def on(
        self,
        upstream: Upstream,
        name: str,
        arguments: dict[str, Any] | None = None,
        identifier: Any = 1,
        listener: Listener | None = None,
        **params: Any,
    ) -> dict[str, Any]:
        answer = await upstream.call(Call(tool_call(name, arguments, identifier, **params), listener))
        return {key: jsonrpc.value(text) for key, text in answer.items()}


@pytest.fixture
def call() -> Caller:
    return Caller()

"""Confined servers, and an easy way to ask what they could do."""

import contextlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from archestra_gateway.config import McpConfig
from archestra_gateway.protocol import jsonrpc, mcp
from archestra_gateway.sandbox.confine import Sandbox
from archestra_gateway.sandbox.grants import Place
from archestra_gateway.schemas.mcp_server import StdioConfig
from archestra_gateway.schemas.permissions import Permissions
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.pool import Pool, open_pool
from archestra_gateway.upstreams.server import Server
from archestra_gateway.upstreams.upstream import Upstream

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
def home(tmp_path: Path) -> Path:
    """Of the person whose gateway it is."""
    folder = tmp_path / "person"
    (folder / ".ssh").mkdir(parents=True)
    (folder / ".ssh" / "id_ed25519").write_text("the-private-key")
    return folder


@pytest.fixture
async def pool(sandbox: Sandbox, home: Path) -> AsyncIterator[Pool]:
    own = {"HOME": str(home), "SHELL": "/bin/sh", "DAEMON_SECRET": "of-the-daemon"}
    environment = {**os.environ, **own}
    async with open_pool(McpConfig(request_timeout=30), environment, str, sandbox) as opened:
        yield opened


@attrs.define(eq=False)
class Confined:
    """await confined("read", path="/etc/shadow") → what the tool answered. A session has its own child."""

    server: Server
    in_session: bool = False
    _session: Upstream | None = None

    async def upstream(self) -> Upstream:
        if not self.in_session:
            return await self.server.shared()
        if self._session is None:
            call = Call(jsonrpc.request(0, mcp.INITIALIZE, mcp.INITIALIZE_PARAMS))
            lease, _ = await self.server.open_session(call, lambda message, causes: None, lambda: None)
            self._session = lease.upstream
        return self._session

    async def __call__(self, tool: str, **arguments: Any) -> Any:
        upstream = await self.upstream()
        message = jsonrpc.request(1, "tools/call", {"name": tool, "arguments": arguments})
        answer = await upstream.call(Call(message))
        return json.loads(jsonrpc.value(answer["result"])["content"][0]["text"])


@pytest.fixture
def named_script(tmp_path: Path) -> Path:
    """The hostile server under a name that no other test's processes have."""
    name = f"hostile_{secrets.token_hex(8)}.py"
    return Path(shutil.copy(FAKES / "hostile_mcp_server.py", tmp_path / name))


@pytest.fixture
def running(named_script: Path) -> Callable[[], list[int]]:
    """running() → the processes that have that script in their command line."""

    def find() -> list[int]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if named_script.name.encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
        return found

    return find


@pytest.fixture
def hostile(pool: Pool) -> Callable[..., Confined]:
    """hostile(hosts=["example.com:443"]) → a server under these permissions that tries everything."""

    def make(
        name: str = "hostile",
        env: dict[str, str] | None = None,
        script: Path = FAKES / "hostile_mcp_server.py",
        in_session: bool = False,
        **permissions: Any,
    ) -> Confined:
        args = ["-S", "-E", str(script)]
        config = StdioConfig(command=sys.executable, args=args, env=env or {})
        return Confined(Server(name, config, pool, Permissions(**permissions)), in_session)

    return make

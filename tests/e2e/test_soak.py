"""Many careless clients of /mcp_proxy and /mcp, while servers are killed: nothing is left over.

SOAK_SESSIONS=200 and SOAK_ROUNDS=10 make it long.
"""

import asyncio
import contextlib
import gc
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from aiohttp.test_utils import TestClient

from archestra_gateway.config import Config, McpConfig, ServerConfig

CHILD = Path(__file__).parent.parent / "fakes" / "mcp_child.py"
SESSIONS = int(os.environ.get("SOAK_SESSIONS", "24"))
ROUNDS = int(os.environ.get("SOAK_ROUNDS", "3"))
AT_ONCE = 8
GROWTH = 4 * 1024 * 1024
"""Bytes a round: what the memory allocator keeps for itself varies by less."""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    mcp = McpConfig(idle_timeout=1.0, request_timeout=20, max_children=16)
    return Config(server=ServerConfig(port=0, data_dir=tmp_path / "data"), mcp=mcp)


@attrs.frozen
class Visitor:
    """One MCP client that does not care much; whatever it is answered, it is answered."""

    http: aiohttp.ClientSession
    url: str
    prefix: str
    chance: random.Random

    async def visit(self) -> None:
        opened = await self.post("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}})
        session = {"Mcp-Session-Id": opened} if opened else {}
        await self.post("notifications/initialized", None, session)
        for doing in self.chance.sample([self.listen, self.ask, self.leave, self.subscribe], 3):
            await doing(session)
        if session and self.chance.random() < 0.5:
            async with self.http.delete(self.url, headers=session) as answer:
                assert answer.status in (204, 404)

    async def ask(self, session: dict[str, str]) -> None:
        for text in ("one", "two"):
            await self.post("tools/call", self.tool("echo", text=text), session)
        await kill_somebody(self.chance)
        await self.post("tools/call", self.tool("echo", text="three"), session)

    async def listen(self, session: dict[str, str]) -> None:
        async with self.http.get(self.url, headers=session) as stream:
            await self.post("tools/call", self.tool("change_tools"), session)
            await some(stream)

    async def leave(self, session: dict[str, str]) -> None:
        """In the middle of a call that tells its progress, in the session and without one."""
        params = {**self.tool("progress", steps=50, pause=0.02), "_meta": {"progressToken": 1}}
        for headers in (session, {}):
            async with self.http.post(
                self.url, json=message("tools/call", params), headers=headers
            ) as stream:
                await some(stream)

    async def subscribe(self, session: dict[str, str]) -> None:
        """As a client of 2026-07-28, which has no session."""
        name = "io.modelcontextprotocol/"
        meta = {f"{name}protocolVersion": "2026-07-28", f"{name}clientCapabilities": {}}
        headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "subscriptions/listen"}
        params = {"notifications": {"toolsListChanged": True}, "_meta": meta}
        asked = message("subscriptions/listen", params)
        async with self.http.post(self.url, json=asked, headers=headers) as stream:
            await some(stream)

    def tool(self, name: str, **arguments: Any) -> dict[str, Any]:
        return {"name": f"{self.prefix}{name}", "arguments": arguments}

    async def post(
        self, method: str, params: dict[str, Any] | None, headers: dict[str, str] | None = None
    ) -> str | None:
        async with self.http.post(self.url, json=message(method, params), headers=headers) as answer:
            await answer.read()
            assert answer.status in (200, 202, 404, 502, 503), await answer.text()
            return answer.headers.get("Mcp-Session-Id")


def message(method: str, params: dict[str, Any] | None) -> dict[str, Any]:
    identifier = {} if method.startswith("notifications/") else {"id": 1}
    return {"jsonrpc": "2.0", "method": method, **identifier, **({"params": params} if params else {})}


async def some(stream: aiohttp.ClientResponse) -> None:
    """A piece of it, if one comes soon; then it is let fall."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await stream.content.readany()
    stream.close()


def children() -> list[int]:
    """Of this process, the servers among them."""
    threads = Path("/proc/self/task").glob("*/children")
    found = [int(pid) for thread in threads for pid in thread.read_text().split()]
    return [pid for pid in found if b"mcp_child" in command(pid)]


async def kill_somebody(chance: random.Random) -> None:
    alive = children()
    if alive and chance.random() < 0.5:
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(alive), signal.SIGKILL)


@attrs.frozen
class Left:
    """What is there when all clients have gone."""

    processes: int
    sessions: int
    descriptors: int
    tasks: int


async def left(client: TestClient) -> Left:
    server = (await (await client.get("/api/mcp_server/files")).json())["status"]
    status = await (await client.get("/api/status")).json()
    return Left(
        processes=len(children()),
        sessions=server["sessions"]
        + status["sections"]["mcp"]["sessions"]
        + status["sections"]["mcp"]["listening"],
        descriptors=len(os.listdir("/proc/self/fd")),
        tasks=len(asyncio.all_tasks()),
    )


def command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def memory() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def visits(client: TestClient, seed: int) -> None:
    room = asyncio.Semaphore(AT_ONCE)
    accept = {"Accept": "application/json, text/event-stream"}
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(headers=accept, timeout=timeout) as http:

        async def visit(number: int) -> None:
            path, prefix = (("/mcp", "files__"), ("/mcp_proxy/files", ""))[number % 2]
            async with room:
                visitor = Visitor(http, str(client.make_url(path)), prefix, random.Random(seed + number))
                await visitor.visit()

        await asyncio.gather(*map(visit, range(SESSIONS)))


@pytest.mark.timeout(60 + 3 * SESSIONS * ROUNDS)
async def test_nothing_is_left_over(client: TestClient) -> None:
    child = {"transport": "stdio", "command": sys.executable, "args": ["-S", "-E", str(CHILD)]}
    await client.post("/api/mcp_server", json={"name": "files", "server_config": child})
    await visits(client, seed=0)
    before = await settled(client, lambda found: found.sessions == found.processes == 0)
    sizes = [memory()]

    for number in range(1, ROUNDS):
        await visits(client, seed=number * SESSIONS)
        after = await settled(
            client, lambda found: found.descriptors <= before.descriptors and found.tasks <= before.tasks
        )
        sizes.append(memory())
        assert (after.processes, after.sessions) == (0, 0)

    assert sizes[-1] - sizes[0] < GROWTH * (ROUNDS - 1), sizes


async def settled(client: TestClient, is_enough: Callable[[Left], bool]) -> Left:
    """Waits for what is idle to be reaped."""
    ends_at = time.monotonic() + 30
    while not is_enough(found := await left(client)) or found.processes or found.sessions:
        assert time.monotonic() < ends_at, (found, [str(task.get_coro()) for task in asyncio.all_tasks()])
        await asyncio.sleep(0.1)
    return found

"""What confinement costs: a start with and without, and a call of each, in turns.

    scripts/benchmark_sandbox.py [ROUNDS]

Exits with 1 when a confined start costs 50 ms more, or a call a tenth more.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from archestra_gateway.config import McpConfig
from archestra_gateway.protocol import jsonrpc
from archestra_gateway.sandbox.confine import Sandbox
from archestra_gateway.sandbox.grants import Place
from archestra_gateway.schemas.mcp_server import StdioConfig
from archestra_gateway.schemas.permissions import Permissions
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.pool import Pool, open_pool
from archestra_gateway.upstreams.server import Server

FAKE = Path(__file__).parent.parent / "tests" / "fakes" / "mcp_child.py"
KINDS = {
    "without": Permissions(sandbox="off"),
    "confined": Permissions(),
    "confined, with a host": Permissions(hosts=["example.com:443"]),
}
CALLS = 300
MOST_START = 0.050
MOST_CALL = 1.10


async def start(server: Server) -> float:
    begun = time.perf_counter()
    await server.shared()
    seconds = time.perf_counter() - begun
    await server.stop()
    return seconds


async def calls(server: Server) -> float:
    """Seconds of one call."""
    upstream = await server.shared()
    message = jsonrpc.request(1, "tools/call", {"name": "echo", "arguments": {"text": "x"}})
    begun = time.perf_counter()
    for _ in range(CALLS):
        await upstream.call(Call(message))
    return (time.perf_counter() - begun) / CALLS


async def measure(pool: Pool, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    config = StdioConfig(command=sys.executable, args=["-S", "-E", str(FAKE)])
    servers = {
        kind: Server(f"bench-{number}", config, pool, permissions)
        for number, (kind, permissions) in enumerate(KINDS.items())
    }
    for server in servers.values():
        await start(server)  # finds PATH, tries the mechanism
    starts: dict[str, list[float]] = {kind: [] for kind in KINDS}
    answers: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind, server in servers.items():
            starts[kind].append(await start(server))
    for _ in range(rounds):
        for kind, server in servers.items():
            answers[kind].append(await calls(server))
    return (
        {kind: statistics.median(times) for kind, times in starts.items()},
        {kind: min(times) for kind, times in answers.items()},
    )


async def main(rounds: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        sandbox = Sandbox(Place(Path(folder) / "data"), 54587, allows_root=True)
        async with open_pool(McpConfig(), dict(os.environ), str, sandbox) as pool:
            starts, answers = await measure(pool, rounds)
    for kind in KINDS:
        start_ms, call_us = starts[kind] * 1000, answers[kind] * 1e6
        ratio = answers[kind] / answers["without"]
        print(f"{kind:<24} start {start_ms:6.1f} ms   call {call_us:6.1f} µs ({ratio:.2f})")
    cost = max(starts.values()) - starts["without"]
    print(f"confinement costs at most {cost * 1000:.1f} ms a start")
    return int(cost > MOST_START or answers["confined"] > MOST_CALL * answers["without"])


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)))

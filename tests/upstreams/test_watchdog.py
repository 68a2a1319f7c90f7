"""No child outlives the daemon, even when the daemon is killed."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from archestra_gateway.upstreams.watchdog import Watchdog

DAEMON = """
import asyncio, os, sys
from archestra_gateway.config import McpConfig
from archestra_gateway.sandbox.confine import Sandbox
from archestra_gateway.sandbox.grants import Place
from archestra_gateway.schemas.mcp_server import StdioConfig
from archestra_gateway.schemas.permissions import Permissions
from archestra_gateway.upstreams.pool import open_pool
from archestra_gateway.upstreams.server import Server

async def main():
    sandbox = Sandbox(Place("unused"), 0, allows_root=True)
    async with open_pool(McpConfig(), {**os.environ, "SHELL": "/bin/sh"}, str, sandbox) as pool:
        config = StdioConfig(command=sys.executable, args=["-S", "-E", *sys.argv[1:]])
        print((await Server("stubborn", config, pool, Permissions(sandbox="off")).shared()).pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""
FAKE = Path(__file__).parent.parent / "fakes" / "mcp_child.py"
ROOT = Path(__file__).parent.parent.parent


def is_alive(pid: int) -> bool:
    """A zombie is not."""
    status = Path(f"/proc/{pid}/status")
    try:
        return "State:\tZ" not in status.read_text()
    except OSError:
        return False


async def all_gone(pids: list[int]) -> None:
    async with asyncio.timeout(5):
        while any(map(is_alive, pids)):
            await asyncio.sleep(0.02)


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks at /proc")
async def test_a_killed_daemon_leaves_no_orphans(tmp_path: Path) -> None:
    """The child ignores the end of its input and SIGTERM, and its own child does too."""
    daemon = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DAEMON, str(FAKE), "--stubborn", f"--grandchild={tmp_path / 'pid'}",
        stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert daemon.stdout is not None
    child = int(await daemon.stdout.readline())
    grandchild = int((tmp_path / "pid").read_text())
    assert is_alive(child)
    assert is_alive(grandchild)

    daemon.kill()
    await daemon.wait()

    await all_gone([child, grandchild])


async def test_a_killed_watchdog_is_replaced() -> None:
    watchdog = Watchdog()
    sleepers = [
        await asyncio.create_subprocess_exec("sleep", "600", start_new_session=True) for _ in range(2)
    ]
    watchdog.guard(sleepers[0].pid)
    assert watchdog._process is not None
    os.kill(watchdog._process.pid, signal.SIGKILL)
    watchdog._process.wait()

    watchdog.guard(sleepers[1].pid)
    watchdog.close()

    assert [await sleeper.wait() for sleeper in sleepers] == [-signal.SIGKILL] * 2


async def test_what_was_released_is_left_alone() -> None:
    watchdog = Watchdog()
    kept = await asyncio.create_subprocess_exec("sleep", "600", start_new_session=True)
    guarded = await asyncio.create_subprocess_exec("sleep", "600", start_new_session=True)
    watchdog.guard(kept.pid)
    watchdog.guard(guarded.pid)

    watchdog.release(kept.pid)
    watchdog.close()

    assert await guarded.wait() == -signal.SIGKILL
    assert kept.returncode is None
    kept.kill()
    await kept.wait()

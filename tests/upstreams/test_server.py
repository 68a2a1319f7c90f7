"""One server over its life: lazily started, shared, restarted with care, left alone when it keeps dying."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from archestra_gateway.config import McpConfig
from archestra_gateway.errors import GatewayError, UpstreamError, UpstreamUnavailable
from archestra_gateway.upstreams.pool import Pool
from archestra_gateway.upstreams.server import Server

Fake = Callable[..., Server]
FAKE = Path(__file__).parent.parent / "fakes" / "mcp_child.py"


async def test_first_calls_that_come_together_share_one_start(fake: Fake, call: Any, tmp_path: Path) -> None:
    server = fake(f"--starts={tmp_path / 'starts'}")

    await asyncio.gather(*(call(server, "echo") for _ in range(20)))

    assert len((tmp_path / "starts").read_text().split()) == 1


async def test_a_first_caller_that_leaves_does_not_spoil_the_start(
    fake: Fake, call: Any, tmp_path: Path
) -> None:
    server = fake(f"--starts={tmp_path / 'starts'}")
    leaving = asyncio.create_task(call(server, "echo"))
    staying = asyncio.create_task(call(server, "echo", text="here"))
    await asyncio.sleep(0)

    leaving.cancel()

    assert (await staying)["result"]["content"][0]["text"] == "here"
    assert len((tmp_path / "starts").read_text().split()) == 1


async def test_a_server_that_keeps_dying_is_left_alone_until_somebody_starts_it(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = tmp_path / "starts"
    server = fake("--crash", f"--starts={starts}")

    for _ in range(4):
        with pytest.raises(UpstreamError, match="no configuration found"):
            await server.shared()
    with pytest.raises(UpstreamError):
        await server.shared()

    with pytest.raises(UpstreamUnavailable, match=r"died 5 times in a row .* no configuration found"):
        await server.shared()
    assert server.status().state == "crash_loop"
    assert len(starts.read_text().split()) == 5

    with pytest.raises(UpstreamError):
        await server.start()
    assert len(starts.read_text().split()) == 6


async def test_a_server_that_works_may_die_as_often_as_it_likes(fake: Fake, call: Any) -> None:
    server = fake()

    for _ in range(7):
        await call(server, "echo")
        with pytest.raises(UpstreamError):
            await call(server, "crash")

    assert (await call(server, "echo"))["id"] == 1


async def test_a_server_that_dies_when_it_was_initialized_is_an_error_and_not_a_wait(
    fake: Fake, call: Any
) -> None:
    server = fake("--die-after-initialize")

    with pytest.raises(GatewayError, match="ended with exit code 4"):
        await asyncio.wait_for(call(server, "silence"), 5)


@pytest.mark.parametrize("limits", [McpConfig(start_timeout=0.5)])
async def test_a_slow_server_delays_nobody_else(fake: Fake, call: Any) -> None:
    mute, quick = fake("--mute", name="mute"), fake(name="quick")
    waiting = asyncio.create_task(mute.shared())

    await call(quick, "echo")

    assert not waiting.done()
    with pytest.raises(GatewayError, match="did not answer `initialize`"):
        await waiting


@pytest.mark.parametrize("limits", [McpConfig(idle_timeout=0.2)])
async def test_an_idle_server_rests_and_comes_back(fake: Fake, call: Any, pool: Pool) -> None:
    server = fake()
    await call(server, "echo")

    async with asyncio.timeout(5):
        while server.status().state != "stopped":
            await asyncio.sleep(0.02)

    assert (await call(server, "echo"))["id"] == 1


@pytest.mark.parametrize("limits", [McpConfig(idle_timeout=0.2)])
async def test_a_busy_server_is_not_idle(fake: Fake, call: Any) -> None:
    server = fake()

    assert (await call(server, "slow", seconds=0.8))["result"]["content"][0]["text"] == "slow"


@pytest.mark.parametrize("limits", [McpConfig(max_children=2)])
async def test_too_many_servers_take_turns(fake: Fake, call: Any) -> None:
    servers = [fake(name=f"server-{number}") for number in range(4)]

    for server in servers:
        await call(server, "echo")

    assert [server.status().state for server in servers] == ["stopped", "stopped", "running", "running"]


@pytest.mark.parametrize("limits", [McpConfig(max_children=2)])
async def test_many_at_once_never_exceed_the_cap(fake: Fake, call: Any, pool: Pool) -> None:
    servers = [fake(name=f"server-{number}") for number in range(4)]

    outcomes = await asyncio.gather(
        *(call(server, "slow", seconds=0.5) for server in servers), return_exceptions=True
    )

    refused = [outcome for outcome in outcomes if isinstance(outcome, UpstreamUnavailable)]
    assert len(refused) == 2
    assert all("mcp.max_children" in error.message for error in refused)


async def test_a_stop_while_it_starts_is_told_to_who_waits(fake: Fake) -> None:
    server = fake("--mute")
    waiting = asyncio.create_task(server.shared())
    while server.status().state != "starting":
        await asyncio.sleep(0)

    await server.stop()

    with pytest.raises(UpstreamUnavailable, match="was stopped while it started"):
        await waiting


async def test_a_stop_goes_on_when_who_ordered_it_leaves(fake: Fake, pool: Pool) -> None:
    server = fake("--stubborn")
    upstream = await server.shared()
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0)

    stopping.cancel()

    async with asyncio.timeout(10):
        while not upstream.has_ended:
            await asyncio.sleep(0.02)
    assert server.status().state == "stopped"


async def test_a_slow_login_shell_delays_no_command_that_the_daemon_finds_itself(
    fake: Fake, call: Any, pool: Pool, environment: dict[str, str], tmp_path: Path
) -> None:
    shell = tmp_path / "shell"
    shell.write_text(f'#!/bin/sh\nwhile [ ! -e {tmp_path}/go ]; do sleep 0.05; done\nexec /bin/sh -c "$2"\n')
    shell.chmod(0o755)
    environment |= {"SHELL": str(shell), "PATH": str(Path(sys.executable).parent)}
    pool.environment = environment
    asking = pool.search()
    quick, patient = fake(name="quick"), fake(name="patient")
    patient.config = attrs.evolve(
        patient.config, command="sh", args=["-c", f"exec {sys.executable} -S {FAKE}"]
    )

    answer = await call(quick, "echo", text="at once")
    waiting = asyncio.create_task(call(patient, "echo", text="in the end"))
    await call(quick, "echo")

    assert answer["result"]["content"][0]["text"] == "at once"
    assert not asking.done()
    assert not waiting.done()
    (tmp_path / "go").touch()
    assert (await waiting)["result"]["content"][0]["text"] == "in the end"

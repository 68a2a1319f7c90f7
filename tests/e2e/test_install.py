"""Installing with the daemon as a process: it is killed half-way, and asked at the command line."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Daemon = Any
pytestmark = [
    pytest.mark.skipif(not all(map(shutil.which, ("bwrap", "npm"))), reason="needs bubblewrap and npm"),
    pytest.mark.timeout(300),
]
SERVER = {
    "name": "demo",
    "server_config": {"transport": "stdio", "command": "npx", "args": ["-y", "demo-server"]},
}


@pytest.fixture
def registry(environment: dict[str, str]) -> Iterator[str]:
    """This machine's, for the daemons started after it."""
    program = Path(__file__).parent.parent / "fakes" / "package_registry.py"
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        environment["NPM_CONFIG_REGISTRY"] = f"{url}/npm"
        environment["SHELL"] = "/bin/sh"
        yield url
        process.kill()


@pytest.fixture
def packages(environment: dict[str, str]) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """The verbs of packages, which may take their time."""

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "archestra_gateway", "packages", *words]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=200, check=False
        )

    return run


def becomes(registry: str, **state: Any) -> None:
    request = urllib.request.Request(
        f"{registry}/-/state", json.dumps(state).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=10).close()


def seen(registry: str) -> list[str]:
    with urllib.request.urlopen(f"{registry}/-/state", timeout=10) as answer:
        return list(json.load(answer)["seen"])


def ask(daemon: Daemon, path: str, body: Any = None) -> Any:
    with daemon.request(path, body) as answer:
        text = answer.read().decode()
        assert answer.status < 300, text
        return json.loads(text) if text.startswith(("{", "[")) else text


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 100
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def installing(folder: Path) -> list[str]:
    """The processes that have it in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.fsencode(folder) in (process / "environ").read_bytes():
                found.append(process.name)
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_gateway_that_ends_while_it_installs_leaves_no_process_and_starts_clean(
    start: Callable[..., Daemon], registry: str, tmp_path: Path, number: int
) -> None:
    becomes(registry, stalled=True)
    daemon = start()
    ask(daemon, "/api/mcp_server", SERVER)
    ask(daemon, "/api/mcp_server/demo/install", {})
    until(lambda: bool(seen(registry)))
    folder = tmp_path / "data" / "servers" / "demo" / "packages"
    (half,) = folder.iterdir()

    assert installing(half)

    daemon.process.send_signal(number)
    daemon.process.wait(60)
    assert half.exists() == (number == signal.SIGKILL)

    until(lambda: not installing(half))
    becomes(registry, stalled=False)
    later = start()
    assert not half.exists()
    assert ask(later, "/api/mcp_server/demo/install")["state"] == "missing"
    ask(later, "/api/mcp_server/demo/install", {})
    assert "event: done" in ask(later, "/api/mcp_server/demo/install?follow=1")


def test_a_server_is_installed_shown_and_updated_at_the_command_line(
    start: Callable[..., Daemon], packages: Callable[..., Any], registry: str
) -> None:
    daemon = start()
    ask(daemon, "/api/mcp_server", SERVER)

    installed = packages("install", "demo")
    nothing = packages("update", "demo")
    becomes(registry, latest="2.0.0")
    updated = packages("update", "demo", "--yes")
    shown = packages("show", "demo", "--json")

    assert installed.returncode == 0, installed.stderr
    assert "demo: installed, npm demo-server" in installed.stdout
    assert "version 1.0.0, 2 packages with hashes" in installed.stdout
    assert nothing.returncode == 1
    assert "nothing to update: demo has the newest, 1.0.0." in nothing.stderr
    assert updated.returncode == 0, updated.stderr
    assert "demo: 1.0.0 → 2.0.0" in updated.stderr
    assert "  demo-part: 1.0.0 → 1.1.0" in updated.stderr
    assert json.loads(shown.stdout)["version"] == "2.0.0"


def test_a_failed_installation_is_told_at_the_command_line(
    start: Callable[..., Daemon], packages: Callable[..., Any], registry: str
) -> None:
    config = {**SERVER["server_config"], "args": ["no-such-server"]}  # type: ignore[dict-item]
    ask(start(), "/api/mcp_server", {"name": "none", "server_config": config})

    ended = packages("install", "none")

    assert ended.returncode == 1
    assert "npm error" in ended.stderr
    assert "The packages could not be installed: npm" in ended.stderr

"""The real programs, connected: each shows the gateway's entry or reaches it. Where somebody brought them:

npm install --prefix FOLDER @anthropic-ai/claude-code @openai/codex @google/gemini-cli opencode-ai \\
    @qwen-code/qwen-code @github/copilot @augmentcode/auggie cline @sourcegraph/amp @continuedev/cli
npm install --prefix FOLDER --ignore-scripts @kilocode/cli @kilocode/cli-linux-x64 \\
    @factory/cli @factory/cli-linux-x64
REAL_CLIENTS=FOLDER pytest tests/e2e/test_real_clients.py

They run in a network of their own, with nobody but the daemon in it, which takes root.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

ROOT = Path(__file__).parent.parent.parent
PROGRAMS = Path(os.environ.get("REAL_CLIENTS", "/nowhere")) / "node_modules" / ".bin"
GATEWAY = (sys.executable, "-m", "archestra_gateway")
MINE = '{ // mine\n  "x": 1\n}\n'
OPENCODE = ".config/opencode/opencode.json"
CLINE = ".cline/data/settings/cline_mcp_settings.json"

pytestmark = pytest.mark.skipif(
    not PROGRAMS.is_dir() or os.geteuid() != 0, reason="REAL_CLIENTS names no folder of programs"
)


@attrs.frozen
class Real:
    """`asks` is its own command that lists servers, `connects` whether that talks to them.

    One that `writes` adds things of its own to the file.
    """

    name: str
    asks: str
    sees: str
    connects: bool
    file: str
    found: str
    writes: bool = False


CONTINUE = """# mine
name: mine
version: 1.0.0
schema: v1
models:
  - {name: x, provider: openai, model: x, apiKey: k, apiBase: "http://127.0.0.1:9/v1"}
"""
CONTINUES = "cn --config .continue/config.yaml -p hi"
NOBODY = "Connection error"
"""What a model says that is not there; Continue has no command that lists servers."""

CLIENTS = (
    Real("claude-code", "claude mcp list", "archestra: .*/mcp .* Connected", True, ".claude.json", "", True),
    Real(
        "codex-cli", "codex mcp list", "archestra .*/mcp .* enabled", False, ".codex/config.toml", "# mine\n"
    ),
    Real("gemini-cli", "gemini mcp list", "archestra: .* Connected", True, ".gemini/settings.json", MINE),
    Real("opencode", "opencode mcp list", "archestra .*connected", True, OPENCODE, MINE, True),
    Real("qwen-code", "qwen mcp list", "archestra: .* Connected", True, ".qwen/settings.json", MINE, True),
    Real("copilot-cli", "copilot mcp list", r"archestra \(http\)", False, ".copilot/mcp-config.json", MINE),
    Real("augment", "auggie mcp list", "archestra .*/mcp", False, ".augment/settings.json", MINE),
    Real("cline-cli", "cline config mcp", r"archestra \[streamableHttp\]", False, CLINE, ""),
    Real("continue", CONTINUES, NOBODY, True, ".continue/config.yaml", CONTINUE),
    Real("factory-droid", "droid mcp list", "archestra +http +connected", True, ".factory/mcp.json", ""),
    Real("kilo-code", "kilo mcp list", "archestra .*connected", True, ".config/kilo/kilo.json", MINE, True),
    Real("amp-cli", "amp mcp list", "archestra .*/mcp", False, ".config/amp/settings.json", MINE),
)


@pytest.fixture
def home(environment: dict[str, str], tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    for name in ("XDG_CONFIG_HOME", "CODEX_HOME", "CLAUDE_CONFIG_DIR"):
        environment.pop(name, None)
    path = os.pathsep.join([str(PROGRAMS), os.environ["PATH"]])
    environment.update(HOME=str(home), SHELL="/bin/false", PATH=path, NO_COLOR="1", TERM="dumb")
    environment["GEMINI_CLI_TRUST_WORKSPACE"] = "true"
    return home


@attrs.frozen
class Alone:
    """A network in which nobody is but who is started through it."""

    enter: tuple[str, ...]
    environment: dict[str, str]
    home: Path

    def run(self, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*self.enter, *words],
            env={**self.environment, **more},
            cwd=ROOT if words[0] == sys.executable else self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )


@pytest.fixture
def alone(environment: dict[str, str], home: Path) -> Iterator[Alone]:
    with subprocess.Popen(
        ["unshare", "-n", "sh", "-c", "ip link set lo up && echo up && exec sleep 600"],
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        yield Alone(("nsenter", "-n", "-t", str(holder.pid)), environment, home)
        holder.kill()


@pytest.mark.parametrize("tokens", ["off", "on"])
@pytest.mark.parametrize("real", CLIENTS, ids=lambda real: real.name)
def test_a_real_program_sees_the_gateway(start, alone, home, environment, real: Real, tokens: str) -> None:
    if not (PROGRAMS / real.asks.split()[0]).exists():
        pytest.skip(f"{real.name} is not there")
    environment["ARCHESTRA_SECURITY_REQUIRE_TOKEN"] = str(tokens == "on").lower()
    file = home / real.file
    if real.found:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(real.found)
    start(before=alone.enter)

    connected = alone.run(*GATEWAY, "clients", "connect", real.name)
    asked = alone.run(*real.asks.split())
    client = listed(alone, real)
    deadline = time.monotonic() + 10
    while real.connects and not client["requests"] and time.monotonic() < deadline:
        client = listed(alone, real)  # the request log writes in the background
    gone = alone.run(*GATEWAY, "clients", "disconnect", real.name)

    assert (connected.returncode, gone.returncode) == (0, 0), connected.stderr + gone.stderr
    assert re.search(real.sees, _plain(asked.stdout + asked.stderr)), asked.stdout + asked.stderr
    assert client["state"] == "connected"
    assert (client["requests"] > 0) == real.connects
    left = file.read_text() if file.exists() else ""
    is_changed = real.writes and "archestra" not in left and ('"x": 1' in left or not real.found)
    assert left == real.found or is_changed, left


def listed(alone: Alone, real: Real) -> dict[str, Any]:
    known = json.loads(alone.run(*GATEWAY, "clients", "list", "--json").stdout)
    return next(each for each in known if each["name"] == real.name)


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)

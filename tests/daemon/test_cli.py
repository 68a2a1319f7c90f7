"""The commands that look after a daemon, here without one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from archestra_gateway import __version__, settings

ROOT = Path(__file__).parent.parent.parent
HEAVY = ("aiohttp", "aiosqlite", "mcp", "asyncio", "cattrs")
WHAT_WAS_IMPORTED = f"""
import sys
from archestra_gateway.cli import main
try:
    main()
finally:
    print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    ours = {
        name: value for name, value in os.environ.items() if not name.startswith(("ARCHESTRA_", "OLLAMA_"))
    }
    return {
        **ours,
        "ARCHESTRA_SERVER_DATA_DIR": str(tmp_path / "data"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }


def run(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "archestra_gateway", *words]
    return subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )


def test_it_says_its_version(environment: dict[str, str]) -> None:
    assert run(environment, "--version").stdout == f"archestra-gateway, version {__version__}\n"


def test_status_says_that_nothing_runs_and_what_to_do(environment: dict[str, str], tmp_path: Path) -> None:
    ended = run(environment, "status")

    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr == (
        f"archestra-gateway: not running on {tmp_path / 'data'}. Start it with `archestra-gateway serve`.\n"
    )


def test_to_stop_what_does_not_run_is_no_failure(environment: dict[str, str]) -> None:
    ended = run(environment, "stop")

    assert ended.returncode == 0
    assert "is not running" in ended.stdout


def test_the_token_stays_until_it_is_rotated(environment: dict[str, str]) -> None:
    first = run(environment, "token").stdout

    assert len(first.strip()) >= 43
    assert run(environment, "token").stdout == first
    assert run(environment, "token", "--rotate").stdout != first


def test_a_limited_token_goes_with_the_whole_one(environment: dict[str, str]) -> None:
    whole, limited = run(environment, "token").stdout, run(environment, "token", "--limited").stdout

    assert len(limited.strip()) == 64
    assert run(environment, "token", "--limited").stdout == limited
    assert run(environment, "token").stdout == whole
    assert run(environment, "token", "--rotate", "--limited").stdout != limited


def test_a_configuration_is_checked_with_every_fault_named(
    environment: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text("[server]\nport = 'x'\nprot = 1\n")

    ended = run(environment, "config", "check", "--config", str(file))

    assert ended.returncode == 78
    assert ended.stderr.splitlines() == [
        f"archestra-gateway: {file}: server.prot is not a setting; did you mean server.port?",
        f"archestra-gateway: {file}: server.port must be a whole number, not text in quotes",
    ]


def test_the_gateway_does_not_start_with_a_wrong_configuration(environment: dict[str, str]) -> None:
    ended = run({**environment, "ARCHESTRA_LOG_LEVEL": "loud"}, "serve")

    assert ended.returncode == 78
    assert "ARCHESTRA_LOG_LEVEL must be one of" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_show_prints_each_value_and_where_it_came_from(environment: dict[str, str], tmp_path: Path) -> None:
    shown = run({**environment, "OLLAMA_HOST": "gpu"}, "config", "show").stdout.splitlines()

    assert len(shown) == len(settings.SETTINGS)
    lines = [line.split("  # ") for line in shown]
    origins = {words[0].rstrip(): words[-1].strip() for words in lines}
    assert origins["server.port = 54587"] == "default"
    assert origins[f'server.data_dir = "{tmp_path / "data"}"'] == "environment ARCHESTRA_SERVER_DATA_DIR"
    assert origins['llm.ollama.url = "http://gpu:11434"'] == "environment OLLAMA_HOST"


def test_path_names_the_file_that_would_be_read(environment: dict[str, str]) -> None:
    assert run(environment, "config", "path", "--config", "/some/where.toml").stdout == "/some/where.toml\n"
    assert run({**environment, "ARCHESTRA_CONFIG": "/else.toml"}, "config", "path").stdout == "/else.toml\n"
    assert run(environment, "config", "path").stdout.endswith("archestra-gateway/config.toml\n")


def test_example_prints_the_file_to_begin_with(environment: dict[str, str]) -> None:
    assert run(environment, "config", "example").stdout == settings.example()


def test_the_doctor_names_what_it_looked_at(environment: dict[str, str]) -> None:
    findings = json.loads(run(environment, "doctor", "--json").stdout)

    states = {finding["name"]: finding["state"] for finding in findings}
    assert states["sqlite"] == "ok"
    assert states["configuration"] == "ok"
    assert {
        "python",
        "event loop",
        "data directory",
        "daemon",
        "npm",
        "uv",
        "registries",
        "ollama",
        "embedded model",
        "sandbox",
    } <= states.keys()
    assert all(finding["todo"] for finding in findings if finding["state"] != "ok")


def test_the_doctor_fails_on_what_is_broken(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "data").touch()

    ended = run(environment, "doctor")

    assert ended.returncode == 1
    assert f"fail  data directory: {tmp_path / 'data'} is not yours to write" in ended.stdout


@pytest.mark.parametrize(
    "words",
    [*(["status"], ["stop"], ["token"], ["config", "show"], ["--help"]), ["clients", "list"], ["mcp-stdio"]],
)
def test_a_command_that_only_asks_imports_nothing_heavy(
    environment: dict[str, str], words: list[str]
) -> None:
    command = [sys.executable, "-c", WHAT_WAS_IMPORTED, *words]

    ended = subprocess.run(
        command,
        env=environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert ended.stderr.splitlines()[-1] == "[]"

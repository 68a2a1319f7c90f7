"""Secrets of a real daemon: sealed from the first moment on, with a key that can be changed and moved."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
KEY = "sk-canary-0123456789-of-a-provider"
TOKEN = "canary-token-of-a-server-0123456789"
NAMED = "canary-named-secret-0123456789"
SEEN = {"API_TOKEN": TOKEN, "OTHER": f"x{NAMED}"}


@pytest.fixture
def data(environment: dict[str, str]) -> Path:
    return Path(environment["ARCHESTRA_SERVER_DATA_DIR"])


def store(daemon: Any) -> None:
    child = {
        "transport": "stdio",
        "command": sys.executable,
        "args": [str(ROOT / "tests/fakes/mcp_child.py")],
    }
    for path, wanted in (
        ("/api/llm_provider", {"name": "openai", "kind": "openai", "api_key": KEY}),
        ("/api/secret", {"name": "GH", "value": NAMED}),
        (
            "/api/mcp_server",
            {
                "name": "one",
                "server_config": {**child, "env": {"API_TOKEN": TOKEN, "OTHER": "x${secret:GH}"}},
            },
        ),
    ):
        with daemon.request(path, wanted) as answer:
            assert answer.status == 201, answer.read()


def seen_by_child(daemon: Any) -> dict[str, str]:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "environment"}}
    with daemon.request("/mcp_proxy/one", message) as answer:
        result = json.loads(answer.read())
    environment: dict[str, str] = json.loads(result["result"]["content"][0]["text"])["env"]
    return {name: environment[name] for name in ("API_TOKEN", "OTHER")}


def files_with(folder: Path, value: str) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and value.encode() in path.read_bytes()]


def test_a_child_gets_its_secrets_and_nothing_on_the_disk_has_them(start, data) -> None:
    daemon = start()
    store(daemon)

    assert seen_by_child(daemon) == SEEN

    for value in (KEY, TOKEN, NAMED):
        assert files_with(data, value) == []
    with daemon.request("/api/status") as answer:
        assert json.loads(answer.read())["sections"]["secrets"] == {"key": "file"}
    code, output, errors = daemon.end()
    assert code == 0
    assert not any(value in output + errors for value in (KEY, TOKEN, NAMED))


def test_the_key_is_changed_while_the_gateway_runs_and_while_it_does_not(start, run, data) -> None:
    daemon = start()
    store(daemon)
    keys = {(data / "secrets.key").read_text()}

    running = run("secrets", "rotate-key")
    keys.add((data / "secrets.key").read_text())
    daemon.end()
    stopped = run("secrets", "rotate-key")
    keys.add((data / "secrets.key").read_text())

    assert (running.returncode, stopped.returncode) == (0, 0), running.stderr + stopped.stderr
    assert running.stdout == stopped.stdout == "Sealed 3 stored values with a new key (file).\n"
    assert len(keys) == 3
    assert seen_by_child(start()) == SEEN


def test_a_kill_while_the_key_is_changed_loses_nothing(start, environment, data) -> None:
    daemon = start()
    store(daemon)
    daemon.end()
    command = [sys.executable, "-m", "archestra_gateway", "secrets", "rotate-key"]
    began = time.monotonic()
    subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True)
    whole = time.monotonic() - began

    for step in range(8):
        with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE) as process:
            time.sleep(whole * (0.4 + 0.08 * step))
            process.send_signal(signal.SIGKILL)
            process.communicate()

    assert seen_by_child(start()) == SEEN


def test_secrets_that_lay_in_the_clear_are_sealed_at_the_next_start(start, data) -> None:
    daemon = start()
    store(daemon)
    daemon.end()
    with closing(sqlite3.connect(data / "gateway.db", isolation_level=None)) as database:
        database.execute("DELETE FROM secret WHERE owner <> 'secret'")
        database.execute("UPDATE llm_provider SET api_key = ?", [KEY])
        database.execute(
            "UPDATE mcp_server SET server_config = json_set(server_config, '$.env.API_TOKEN', ?,"
            " '$.env.OTHER', 'plain') WHERE name = 'one'",
            [TOKEN],
        )
    (data / "gateway.db.before-0002").write_text(KEY)
    assert files_with(data, KEY)

    again = start()

    seen_by_child(again)
    assert (files_with(data, KEY), files_with(data, TOKEN)) == ([], [])
    with again.request("/api/llm_provider/openai") as answer:
        assert json.loads(answer.read())["has_key"] is True


def test_the_key_lies_in_the_systems_keyring_where_there_is_one(
    start, run, environment, data, tmp_path
) -> None:
    environment["PYTHON_KEYRING_BACKEND"] = "file_keyring.FileKeyring"
    environment["PYTHONPATH"] = str(ROOT / "tests" / "fakes")
    environment["FILE_KEYRING"] = str(tmp_path / "keyring.json")
    daemon = start()
    store(daemon)
    with daemon.request("/api/status") as answer:
        place = json.loads(answer.read())["sections"]["secrets"]
    daemon.end()

    assert place == {"key": "keyring"}
    assert (data / "secrets.key").read_text().startswith("keyring ")
    seen_by_child(again := start())
    again.end()
    (tmp_path / "keyring.json").unlink()
    refused = run("serve", "--port", "0")
    assert refused.returncode == 1
    assert "is not in the system's keyring any more" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert os.path.exists(data / "secrets.key")

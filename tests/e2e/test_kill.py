"""What is left when the daemon is killed in the middle of its work."""

import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

CHILD = Path(__file__).parent.parent / "fakes" / "mcp_child.py"


def install(daemon, name: str, *flags: str) -> None:
    config = {"transport": "stdio", "command": sys.executable, "args": [str(CHILD), *flags]}
    wanted = {"name": name, "server_config": config, "permissions": {"sandbox": "off"}}  # it writes pids
    with daemon.request("/api/mcp_server", wanted) as answer:
        assert answer.status == 201, answer.read()


def call(daemon, server: str, tool: str, **arguments: Any) -> Any:
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": tool, "arguments": arguments},
    }
    with daemon.request(f"/mcp_proxy/{server}", message) as answer:
        return json.loads(answer.read())["result"]["content"][0]["text"]


def call_without_end(daemon, server: str) -> threading.Thread:
    def wait() -> None:
        with pytest.raises((OSError, HTTPException)):
            call(daemon, server, "slow", seconds=60)

    waiting = threading.Thread(target=wait)
    waiting.start()
    return waiting


def is_alive(pid: int) -> bool:
    """A zombie that nobody has buried yet is dead."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(found.stdout.strip()) and not found.stdout.strip().startswith("Z")


def wait_until(happened: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def logged_calls(data: Path) -> int:
    with sqlite3.connect(data / "gateway.db") as database:
        count: int = database.execute("SELECT count(*) FROM mcp_request_log").fetchone()[0]
    database.close()
    return count


@pytest.mark.parametrize("flags", [(), ("--stubborn",)], ids=["obedient", "stubborn"])
def test_no_child_outlives_a_killed_daemon(start, tmp_path, flags) -> None:
    daemon = start()
    install(daemon, "one", f"--grandchild={tmp_path / 'grandchild'}", *flags)
    child = json.loads(call(daemon, "one", "environment"))["pid"]
    grandchild = int((tmp_path / "grandchild").read_text())
    waiting = call_without_end(daemon, "one")
    assert is_alive(child)
    assert is_alive(grandchild)

    daemon.process.kill()

    waiting.join(10)
    wait_until(lambda: not is_alive(child))
    wait_until(lambda: not is_alive(grandchild))


def test_no_child_outlives_a_stop(start, tmp_path) -> None:
    daemon = start()
    install(daemon, "one", f"--grandchild={tmp_path / 'grandchild'}", "--stubborn")
    child = json.loads(call(daemon, "one", "environment"))["pid"]
    grandchild = int((tmp_path / "grandchild").read_text())

    code, _, errors = daemon.end()

    assert code == 0
    assert "Traceback" not in errors
    wait_until(lambda: not is_alive(child) and not is_alive(grandchild))


def test_the_database_is_whole_after_a_kill(start, environment) -> None:
    data = Path(environment["ARCHESTRA_SERVER_DATA_DIR"])
    daemon = start()
    install(daemon, "one")
    call(daemon, "one", "echo", text="before")
    wait_until(lambda: logged_calls(data) > 0)
    waiting = call_without_end(daemon, "one")

    daemon.process.kill()
    waiting.join(10)
    again = start()

    with sqlite3.connect(data / "gateway.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()
    with again.request("/api/mcp_request_log") as answer:
        assert json.loads(answer.read())["total"] >= 1
    assert call(again, "one", "echo", text="after") == "after"


def test_a_database_of_a_later_version_is_refused_in_plain_words(start, run, environment) -> None:
    start().end()
    path = Path(environment["ARCHESTRA_SERVER_DATA_DIR"]) / "gateway.db"
    with sqlite3.connect(path) as database:
        database.execute(
            "UPDATE migration SET number = 9999 WHERE number = (SELECT max(number) FROM migration)"
        )
    database.close()

    refused = run("serve", "--port", "0")

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "was written by a later version of the gateway" in refused.stderr
    assert "Traceback" not in refused.stderr

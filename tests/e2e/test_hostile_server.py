"""A server that means harm behind the daemon as a person runs it: it gets nothing, and harms nobody."""

import contextlib
import json
import secrets
import shutil
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

HOSTILE = Path(__file__).parent.parent / "fakes" / "hostile_mcp_server.py"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Under a name that no other test's processes have."""
    return Path(shutil.copy(HOSTILE, tmp_path / f"hostile_{secrets.token_hex(8)}.py"))


@pytest.fixture(autouse=True)
def plain_shell(environment: dict[str, str]) -> None:
    """A login shell may take seconds."""
    environment["SHELL"] = "/bin/sh"


def install(daemon, name: str, script: Path, **permissions: Any) -> None:
    config = {"transport": "stdio", "command": sys.executable, "args": ["-S", "-E", str(script)]}
    wanted = {"name": name, "server_config": config, "permissions": permissions}
    with daemon.request("/api/mcp_server", wanted) as answer:
        assert answer.status == 201, answer.read()


def post(daemon, server: str, method: str, params: Any, **headers: str) -> tuple[Any, Any]:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    with daemon.request(f"/mcp_proxy/{server}", message, **headers) as answer:
        return json.loads(answer.read()), answer.headers


def call(daemon, server: str, tool: str, session: str = "", **arguments: Any) -> Any:
    headers = {"Mcp_Session_Id": session} if session else {}
    answer, _ = post(daemon, server, "tools/call", {"name": tool, "arguments": arguments}, **headers)
    return json.loads(answer["result"]["content"][0]["text"]) if "result" in answer else answer


def begin(daemon, server: str) -> str:
    info = {"name": "test", "version": "1"}
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info}
    return str(post(daemon, server, "initialize", params)[1]["Mcp-Session-Id"])


def get(daemon, path: str) -> Any:
    with daemon.request(path) as answer:
        return json.loads(answer.read())


def running(script: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if script.name.encode() in path.read_bytes():
                found.append(path.parent.name)
    return found


def resident(pid: int) -> int:
    """MiB"""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 // 2**20


@pytest.mark.parametrize("in_session", [False, True], ids=["shared", "session"])
def test_the_gateways_own_port_is_never_reached(start, script, in_session) -> None:
    """Though a person granted it by mistake, under every name that it has."""
    daemon = start()
    own = [f"{host}:{daemon.port}" for host in ("localhost", "127.0.0.1", "[::1]", socket.gethostname())]
    install(daemon, "one", script, hosts=own, whole_network=True)
    session = begin(daemon, "one") if in_session else ""

    for host in ("127.0.0.1", "localhost", socket.gethostname(), "127.0.0.2"):
        answer = call(daemon, "one", "connect", session, host=host, port=daemon.port)
        assert str(answer).startswith("refused"), (host, answer)

    denials = get(daemon, "/api/mcp_server/one/denials")["denials"]
    assert f"127.0.0.1:{daemon.port}" in [each["endpoint"] for each in denials]
    assert {(each["reason"], each["grant"]) for each in denials} == {("It is this gateway", None)}


def test_a_name_that_leads_to_this_machine_is_no_way_in(start, script) -> None:
    """As by DNS rebinding: the address that a granted name has is looked at, whenever it is connected."""
    daemon, name = start(), socket.gethostname()
    try:
        if ip_address(socket.gethostbyname(name)).is_global:
            pytest.skip("this machine's name has a public address")
    except OSError:
        pytest.skip("this machine's name has no address")
    with socket.create_server(("", 0)) as service:
        port = service.getsockname()[1]
        install(daemon, "one", script, hosts=[f"{name}:{port}"])

        assert call(daemon, "one", "connect", host=name, port=port).startswith("refused")

    [denial] = get(daemon, "/api/mcp_server/one/denials")["denials"]
    assert denial["endpoint"] == f"{name}:{port}".lower()
    assert "which is not a public address" in denial["reason"]


def test_everything_at_once_harms_nobody(start, script, tmp_path) -> None:
    daemon = start()
    for name in ("one", "two", "good"):
        install(daemon, name, script, limits={"memory": 200 * 2**20, "processes": 40})
    session = begin(daemon, "two")
    assert call(daemon, "good", "echo", text="hi") == "hi"
    before = resident(daemon.process.pid)

    with ThreadPoolExecutor(8) as threads:
        attacks = [
            threads.submit(attack, daemon, *words)
            for words in (
                ("one", "flood", "", {"stream": "stdout", "megabytes": 30}),
                ("one", "flood", "", {"stream": "stderr", "megabytes": 30}),
                ("two", "fork_for_ever", session, {}),
                ("two", "fill_memory", "", {}),
                ("two", "fill", "", {"folder": "/tmp", "megabytes": 400}),
                ("two", "answer_others", session, {}),
            )
        ]
        slowest = 0.0
        while not all(each.done() for each in attacks):
            begun = time.monotonic()
            assert call(daemon, "good", "echo", text="hi") == "hi"
            assert daemon.status_of("/healthz") == 200
            slowest = max(slowest, time.monotonic() - begun)

    assert slowest < 5
    assert resident(daemon.process.pid) - before < 150
    assert get(daemon, "/api/mcp_server/good")["status"]["sandbox"] == "bubblewrap"
    code, _, errors = daemon.end()
    assert code == 0
    assert "Traceback" not in errors
    assert not running(script)


def attack(daemon, server: str, tool: str, session: str, arguments: Any) -> None:
    with contextlib.suppress(OSError, HTTPException, ValueError, KeyError):
        call(daemon, server, tool, session, **arguments)


@pytest.mark.parametrize("in_session", [False, True], ids=["shared", "session"])
def test_what_was_left_behind_ends_with_a_killed_daemon(start, script, in_session) -> None:
    daemon = start()
    install(daemon, "one", script)
    session = begin(daemon, "one") if in_session else ""
    assert call(daemon, "one", "outlive", session, seconds=61.5) == "left behind"
    assert len(running(script)) > 1

    daemon.end(signal.SIGKILL)

    deadline = time.monotonic() + 10
    while running(script):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_nothing_secret_is_in_a_process_list(start, script, environment) -> None:
    daemon = start()
    key = secrets.token_hex(16)
    config = {
        "transport": "stdio",
        "command": sys.executable,
        "args": ["-S", "-E", str(script)],
        "env": {"API_KEY": key},
    }
    with daemon.request("/api/mcp_server", {"name": "one", "server_config": config}) as answer:
        assert answer.status == 201
    assert call(daemon, "one", "environment")["env"]["API_KEY"] == key

    commands = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            commands.append(path.read_bytes())

    token = Path(environment["ARCHESTRA_SERVER_DATA_DIR"], "token").read_bytes().strip()
    assert script.name.encode() in b"".join(commands)
    assert key.encode() not in b"".join(commands)
    assert key.encode() not in Path(f"/proc/{daemon.process.pid}/environ").read_bytes()
    assert token not in b"".join(commands)


def test_the_doctor_tries_the_sandbox(run) -> None:
    findings = {each["name"]: each for each in json.loads(run("doctor", "--json").stdout)}

    assert findings["sandbox"] == {
        "name": "sandbox",
        "state": "ok",
        "says": "bubblewrap confines MCP servers",
        "todo": "",
    }

"""The life of the daemon: start, use, stop, and what stands in its way."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
LINGERING = """
import subprocess, sys, time
child = subprocess.Popen(sys.argv[1:])
print(child.pid, file=sys.stderr, flush=True)
time.sleep(60)
"""


@pytest.fixture
def low_port() -> int:
    """A free port that no outgoing connection can take."""
    for port in range(20000 + os.getpid() % 10000, 32768):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("no free port")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_it_starts_answers_and_stops(start, environment) -> None:
    daemon = start()

    assert daemon.listening["data_dir"] == environment["ARCHESTRA_SERVER_DATA_DIR"]
    assert daemon.listening["pid"] == daemon.process.pid
    assert daemon.listening["url"] == f"http://localhost:{daemon.port}"
    assert daemon.status_of("/healthz") == 200

    code, output, errors = daemon.end()

    assert (code, output) == (0, "")
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].endswith("Stopped")


def test_localhost_is_ours_in_both_families(start) -> None:
    daemon = start()

    assert daemon.listening["addresses"] == [f"http://127.0.0.1:{daemon.port}", f"http://[::1]:{daemon.port}"]
    assert [daemon.status_of("/healthz", host) for host in ("127.0.0.1", "::1")] == [200, 200]


def test_the_base_url_says_where_to_listen(start, environment, low_port) -> None:
    environment["ARCHESTRA_SERVER_BASE_URL"] = f"http://gateway.localhost:{low_port}"

    daemon = start(port=None)

    assert (daemon.port, daemon.listening["url"]) == (low_port, f"http://gateway.localhost:{low_port}")
    assert daemon.status_of("/healthz") == 200
    with daemon.request("/healthz", Host=f"gateway.localhost:{low_port}") as answer:
        assert answer.status == 200


def test_status_and_stop_find_it(start, run) -> None:
    daemon = start()

    running = run("status")
    told = json.loads(run("status", "--json").stdout)
    stopped = run("stop")

    assert running.returncode == 0
    assert f"pid {daemon.process.pid}" in running.stdout
    assert told["instance"] == daemon.listening
    assert told["status"]["pid"] == daemon.process.pid
    assert (stopped.returncode, stopped.stdout) == (0, f"Stopped (pid {daemon.process.pid}).\n")
    assert daemon.process.wait(5) == 0
    assert run("status").returncode == 3


def test_the_data_directory_is_closed_to_other_users(start, environment) -> None:
    start()

    data = Path(environment["ARCHESTRA_SERVER_DATA_DIR"])
    assert mode(data) == 0o700
    assert {path.name: mode(path) for path in data.iterdir() if path.is_file() and mode(path) != 0o600} == {}
    assert {"instance.json", "token"} <= {path.name for path in data.iterdir()}


def test_a_data_directory_has_one_daemon(start, run) -> None:
    daemon = start()

    second = run("serve", "--port", "0")

    assert second.returncode == 4
    assert (
        f"already running (pid {daemon.process.pid}, version {daemon.listening['version']}"
        f" at http://localhost:{daemon.port})"
    ) in second.stderr
    assert "Traceback" not in second.stderr


def test_a_port_held_by_another_program_is_refused_with_its_name(run, low_port) -> None:
    with socket.create_server(("127.0.0.1", low_port)):
        refused = run("serve", "--port", str(low_port))

    assert refused.returncode == 5
    assert f"Port {low_port} is taken by pid {os.getpid()}: " in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_port_held_by_another_gateway_is_refused_with_its_data(start, run, low_port, tmp_path) -> None:
    daemon = start(port=low_port)

    refused = run("serve", "--port", str(low_port), "--data-dir", str(tmp_path / "other"))

    assert refused.returncode == 5
    assert f"taken by another archestra-gateway (pid {daemon.process.pid}, version " in refused.stderr


def test_after_a_kill_it_starts_again_on_the_same_data(start, run) -> None:
    start().end(signal.SIGKILL)

    assert run("status").returncode == 3
    assert start().status_of("/healthz") == 200


def test_a_stop_ends_open_event_streams_whole(start) -> None:
    daemon = start()

    with daemon.request("/api/mcp_server/filesystem-server/logs?follow=1") as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        since = time.monotonic()
        code, _, errors = daemon.end()
        stream.read()  # http.client raises IncompleteRead when the last chunk is missing

    assert time.monotonic() - since < 3
    assert code == 0
    assert "Traceback" not in errors


def test_a_stop_does_not_wait_for_the_answer_of_a_model(start, provider) -> None:
    daemon = start()

    with daemon.request(
        "/llm/ollama/api/chat", {"model": "fake", "messages": []}, X_Fake_Stall="2"
    ) as stream:
        assert stream.status == 200
        assert stream.readline()
        since = time.monotonic()
        code, _, errors = daemon.end()

    assert time.monotonic() - since < 3
    assert code == 0
    assert "Traceback" not in errors


def test_it_ends_with_the_process_that_started_it(start) -> None:
    daemon = start("--exit-with-parent", before=(sys.executable, "-c", LINGERING))
    assert daemon.status_of("/healthz") == 200

    daemon.process.kill()  # the process between us and the daemon

    _, errors = daemon.process.communicate(timeout=10)  # the pipes end with the daemon
    assert "the process that started the gateway is gone" in errors


def test_it_outlives_a_closed_terminal(start) -> None:
    daemon = start()

    daemon.process.send_signal(signal.SIGHUP)

    assert daemon.status_of("/healthz") == 200


def test_it_runs_without_standard_streams(environment, run) -> None:
    closed = f"{sys.executable} -m archestra_gateway serve --port 0 <&- >&- 2>&-"
    with subprocess.Popen(["/bin/sh", "-c", f"exec {closed}"], env=environment, cwd=ROOT) as process:
        while (found := run("status")).returncode != 0:
            assert process.poll() is None
        process.terminate()

    assert f"pid {process.pid}" in found.stdout
    assert process.returncode == 0


def test_control_c_is_a_clean_stop(start) -> None:
    code, _, errors = start().end(signal.SIGINT)

    assert code == 0
    assert "Traceback" not in errors


def test_systemd_hands_over_its_socket_and_hears_when_it_is_used(start, environment, tmp_path) -> None:
    """`systemd-socket-activate` in four lines: descriptor 3, and the pid of the process itself."""
    with (
        socket.create_server(("127.0.0.1", 0)) as ours,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
    ):
        manager.bind(str(tmp_path / "notify"))
        environment.update(NOTIFY_SOCKET=str(tmp_path / "notify"), LISTEN_FDS="1")
        activate = (
            "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.argv[1], sys.argv[1:])"
        )

        def hand_over() -> None:
            os.dup2(ours.fileno(), 3)

        daemon = start(before=(sys.executable, "-c", activate), preexec_fn=hand_over, close_fds=False)

        assert daemon.port == ours.getsockname()[1]
        assert daemon.status_of("/healthz") == 200
        assert manager.recv(100) == b"READY=1"
        daemon.end()
        assert manager.recv(100) == b"STOPPING=1"

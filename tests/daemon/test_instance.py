"""One daemon for a data directory; whoever looks can see which."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from archestra_gateway.daemon import instance
from archestra_gateway.daemon.exit_code import CommandError, ExitCode
from archestra_gateway.daemon.instance import Instance

FIRST = Instance(
    12, "0.1.0", "2026-11-25T01:23:14.123Z", "/data", 1, "http://localhost:1", ("http://127.0.0.1:1",)
)
HOLD = """
import sys, time
from pathlib import Path
from archestra_gateway.daemon import instance
with instance.hold(Path(sys.argv[1])) as lock:
    lock.publish(instance.Instance(1, "0.1.0", "", ""))
    print("held", flush=True)
    time.sleep(60)
"""


def test_what_a_daemon_publishes_others_can_read(tmp_path: Path) -> None:
    with instance.hold(tmp_path) as lock:
        lock.publish(FIRST)

        assert instance.running(tmp_path) == FIRST
        assert (tmp_path / instance.NAME).stat().st_mode & 0o777 == 0o600

    assert instance.running(tmp_path) is None


def test_where_no_daemon_ever_was_none_is_running(tmp_path: Path) -> None:
    assert instance.running(tmp_path / "nowhere") is None


def test_the_second_daemon_of_a_data_directory_is_told_about_the_first(tmp_path: Path) -> None:
    with instance.hold(tmp_path) as lock:
        lock.publish(FIRST)

        with pytest.raises(CommandError) as refused, instance.hold(tmp_path):
            pass

    assert refused.value.code == ExitCode.ALREADY_RUNNING
    assert "already running (pid 12, version 0.1.0 at http://localhost:1)" in str(refused.value)


def test_a_daemon_that_was_killed_leaves_no_lock(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"held\n"
        assert instance.running(tmp_path) is not None
        killed.send_signal(signal.SIGKILL)

    assert (tmp_path / instance.NAME).read_text() != ""
    assert instance.running(tmp_path) is None
    with instance.hold(tmp_path) as lock:
        lock.publish(FIRST)
        assert instance.running(tmp_path) == FIRST

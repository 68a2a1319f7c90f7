"""Confinement without bubblewrap: the launcher, run for real where the kernel can."""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archestra_gateway.sandbox import landlock
from archestra_gateway.sandbox.descriptors import Descriptors
from archestra_gateway.sandbox.mechanism import PYTHON, SANDBOX
from archestra_gateway.sandbox.policy import Mount, Policy
from archestra_gateway.sandbox.toolchain import installation
from archestra_gateway.schemas.permissions import Limits

FAKE = Path(__file__).parent.parent / "fakes" / "hostile_mcp_server.py"


def version() -> int:
    return int(ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1))


pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or version() < landlock.OLDEST_ABI,
    reason="the kernel has no Landlock of that age",
)

Attempt = Callable[..., Any]


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    """attempt("read", path="/etc/shadow") → what the hostile server got."""
    home = tmp_path / "home"
    home.mkdir()
    mounts = [Mount.same(path) for path in (*installation(PYTHON, Path.home()), str(FAKE))]
    policy = Policy(
        command=(PYTHON, "-S", "-E", str(FAKE)),
        env={},
        home=str(home),
        cwd=str(home),
        uid=os.getuid(),
        gid=os.getgid(),
        mounts=(*mounts, Mount.same(str(home), is_writable=True)),
        limits=Limits(open_files=77),
    )

    def ask(tool: str, **arguments: Any) -> Any:
        descriptors = Descriptors()
        orders = descriptors.put(json.dumps(landlock.spec(policy)).encode())
        message = {"id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        done = subprocess.run(
            [PYTHON, "-I", "-S", str(SANDBOX / "landlock_exec.py"), str(orders), *policy.command],
            input=json.dumps(message) + "\n",
            capture_output=True,
            text=True,
            env={"HOME": str(home)},
            pass_fds=descriptors.numbers,
            start_new_session=True,
            timeout=20,
            check=False,
        )
        descriptors.close()
        assert done.stdout, done.stderr
        return json.loads(json.loads(done.stdout)["result"]["content"][0]["text"])

    return ask


def test_its_home_is_its_own(attempt: Attempt, tmp_path: Path) -> None:
    assert attempt("write", path=str(tmp_path / "home" / "note")) == "written"
    assert attempt("read", path=str(tmp_path / "home" / "note")) == "mine"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("read", {"path": "/etc/shadow"}),
        ("look", {"path": str(Path.home())}),
        ("look", {"path": "/tmp"}),
        ("write", {"path": "/tmp/archestra-test"}),
        ("read", {"path": "/proc/1/environ"}),
        ("write", {"path": "/proc/sys/kernel/core_pattern"}),
        ("connect", {"host": "127.0.0.1", "port": 22}),
        ("ask_name_server", {"address": "127.0.0.1"}),
        ("unix_socket", {"path": "@archestra"}),
        ("kill", {"pid": os.getppid()}),
        ("new_user_namespace", {}),
        ("trace_parent", {}),
        ("mount", {}),
    ],
)
def test_what_was_not_granted_is_refused(attempt: Attempt, tool: str, arguments: dict[str, Any]) -> None:
    answer = attempt(tool, **arguments)

    assert isinstance(answer, str)
    assert answer.startswith("refused")


def test_limits_are_applied(attempt: Attempt) -> None:
    assert attempt("limits") == {"CORE": 0, "NOFILE": 77}

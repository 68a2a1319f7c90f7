"""A server that means harm tries everything it can think of, and the gateway stays as it was."""

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archestra_gateway.errors import GatewayError
from archestra_gateway.sandbox.watch import tree
from archestra_gateway.schemas.permissions import MIB, Limits

Hostile = Callable[..., Any]
Running = Callable[[], list[int]]
FAKES = Path(__file__).parent.parent / "fakes"


def is_refused(answer: Any) -> bool:
    return isinstance(answer, str) and answer.startswith("refused: ")


@pytest.mark.parametrize(
    "path",
    [
        "/etc/shadow",
        "/root/.bashrc",
        "/etc/hostname",
        "/etc/ssh/sshd_config",
        "/sys/kernel/notes",
        "/proc/kcore",
    ],
)
async def test_files_that_were_not_granted_are_not_there(hostile: Hostile, path: str) -> None:
    assert is_refused(await hostile()("read", path=path))


async def test_the_home_of_its_user_is_not_there(hostile: Hostile) -> None:
    confined = hostile()

    assert is_refused(await confined("look", path=str(Path.home() / ".ssh")))
    assert await confined("look", path="/home") == ["mcp"]


@pytest.mark.parametrize("granted", [[], ["/tmp"]], ids=["nothing granted", "the folder around it granted"])
async def test_the_gateways_own_data_is_not_there(
    hostile: Hostile, data_dir: Path, granted: list[str]
) -> None:
    confined = hostile(read_write=granted)

    for name in ("token", "gateway.db", "servers"):
        assert is_refused(await confined("read", path=str(data_dir / name)))
        assert is_refused(await confined("look", path=str(data_dir / name)))


async def test_its_own_data_can_not_be_granted_either(hostile: Hostile, data_dir: Path) -> None:
    with pytest.raises(GatewayError, match="which is the gateway's own"):
        await hostile(read_only=[str(data_dir)])("limits")


@pytest.mark.parametrize("kind", ["read_only", "read_write"])
async def test_a_program_in_a_closed_folder_below_a_granted_one_runs(
    hostile: Hostile, tmp_path: Path, kind: str
) -> None:
    closed = tmp_path / "closed"
    (closed / "program").mkdir(parents=True)
    closed.chmod(0o700)
    script = Path(shutil.copy(FAKES / "hostile_mcp_server.py", closed / "program"))
    (closed / "other").write_text("a secret")
    confined = hostile(script=script, **{kind: ["/tmp"]})

    assert "hostile_mcp_server.py" in await confined("look", path=str(closed / "program"))
    if os.geteuid() == 0:  # a child of another daemon has its user, who may look there
        assert is_refused(await confined("read", path=str(closed / "other")))


@pytest.mark.parametrize(
    "path", ["/usr/bin/new", "/etc/passwd", "/new", "/dev/new", "/proc/sys/kernel/core_pattern"]
)
async def test_the_system_can_not_be_changed(hostile: Hostile, path: str) -> None:
    assert is_refused(await hostile()("write", path=path))


async def test_its_home_is_its_own_and_stays(hostile: Hostile) -> None:
    confined, other = hostile("one"), hostile("other")

    assert await confined("write", path="/home/mcp/note") == "written"
    assert is_refused(await other("read", path="/home/mcp/note"))

    await confined.server.stop()
    assert await confined("read", path="/home/mcp/note") == "mine"


async def test_it_is_not_root_and_can_not_become_it(hostile: Hostile) -> None:
    confined = hostile()

    assert (await confined("environment"))["uid"] != 0
    for attempt in ("become_root", "new_user_namespace", "mount", "trace_parent"):
        assert is_refused(await confined(attempt)), attempt


@pytest.mark.parametrize("hosts", [[], ["example.com:443"]], ids=["without network", "with a host"])
async def test_other_processes_and_their_secrets_are_out_of_sight(hostile: Hostile, hosts: list[str]) -> None:
    other = hostile("other", env={"API_KEY": "the-others-key"})
    await other("limits")
    confined = hostile(hosts=hosts, env={"OWN_KEY": "my-own-key"})

    seen = await confined("processes")

    text = "".join(seen.values())
    assert len(seen) <= 3
    assert "my-own-key" in text
    for secret in ("the-others-key", "of-the-daemon", "archestra-gateway"):
        assert secret not in text
    assert not [path for path in await confined("descriptors") if path.startswith("/")]
    assert is_refused(await confined("new_user_namespace"))


@pytest.mark.parametrize("in_session", [False, True], ids=["shared", "session"])
@pytest.mark.parametrize("hosts", [[], ["example.com:443"]], ids=["without network", "with a host"])
async def test_its_secrets_are_in_nobodys_process_list(
    hostile: Hostile, tmp_path: Path, named_script: Path, running: Running, hosts: list[str], in_session: bool
) -> None:
    """The environment of its own processes, which only it and its user may read, is the one place."""
    folder = tmp_path / "shared"
    folder.mkdir()
    key = secrets.token_hex(16)
    confined = hostile(
        env={"OWN_KEY": key},
        read_write=[str(folder)],
        hosts=hosts,
        script=named_script,
        in_session=in_session,
    )
    await confined("limits")
    tree_of_it = set(tree((await confined.upstream()).pid))

    commands = {pid: seen(pid, "cmdline") for pid in map(int, filter(str.isdigit, os.listdir("/proc")))}
    environments = {pid: seen(pid, "environ") for pid in commands}

    assert set(running()) <= tree_of_it
    assert not [text for text in commands.values() if key in text or (str(folder) in text)]
    assert {pid for pid, text in environments.items() if key in text} <= tree_of_it


def seen(pid: int, name: str) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")
    return ""


@pytest.mark.parametrize("in_session", [False, True], ids=["shared", "session"])
@pytest.mark.parametrize("hosts", [[], ["example.com:443"]], ids=["without network", "with a host"])
async def test_it_runs_as_nobody_with_nothing(
    hostile: Hostile, named_script: Path, running: Running, hosts: list[str], in_session: bool
) -> None:
    """As the kernel has it: no root, no group, no capability, nothing to be gained, and calls filtered."""
    confined = hostile(script=named_script, hosts=hosts, in_session=in_session)
    await confined("limits")

    [child] = [pid for pid in running() if seen(pid, "comm").startswith("python")]
    status = dict(line.split(":\t", 1) for line in seen(child, "status").splitlines() if ":\t" in line)

    assert not {"0"} & set(status["Uid"].split() + status["Gid"].split())
    assert [int(status[name], 16) for name in ("CapPrm", "CapEff", "CapAmb")] == [0] * 3
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


async def test_it_can_not_signal_anybody(hostile: Hostile) -> None:
    confined = hostile()

    assert is_refused(await confined("kill_all"))
    assert is_refused(await confined("kill", pid=os.getpid()))


@pytest.mark.parametrize("hosts", [[], ["example.com:443"]], ids=["without network", "with a host"])
async def test_nothing_of_this_machines_network_is_reached(hostile: Hostile, hosts: list[str]) -> None:
    confined = hostile(hosts=hosts)
    with socket.create_server(("127.0.0.1", 0)) as service, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0archestra-test")
        abstract.listen()
        port = service.getsockname()[1]

        assert is_refused(await confined("connect", host="127.0.0.1", port=port))
        assert is_refused(await confined("connect", host="169.254.169.254", port=80))
        assert is_refused(await confined("connect", host="10.0.0.1", port=443))
        assert is_refused(await confined("unix_socket", path="@archestra-test"))
        assert is_refused(await confined("ask_name_server", address="8.8.8.8"))


async def test_a_socket_in_a_granted_folder_is_of_no_use(hostile: Hostile, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(os.path.relpath(folder / "agent"))
        agent.listen()
        os.chmod(folder / "agent", 0o777)

        where = str(folder / "agent")

        assert is_refused(await hostile(read_only=[str(folder)])("unix_socket", path=where))
        allowed = hostile(read_only=[str(folder)], local_sockets=True)
        assert await allowed("unix_socket", path=where) == "connected", "which is why nobody has it by itself"


async def test_sockets_of_this_machine_can_be_granted_without_the_abstract_ones(hostile: Hostile) -> None:
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0archestra-granted")
        abstract.listen()

        assert is_refused(await hostile(local_sockets=True)("unix_socket", path="@archestra-granted"))


@pytest.mark.parametrize("hosts", [[], ["example.com:443"]], ids=["without network", "with a host"])
@pytest.mark.parametrize("folder", ["/opt", "/mnt", "/srv", "/var"])
async def test_folders_beside_its_own_can_be_granted(hostile: Hostile, folder: str, hosts: list[str]) -> None:
    if not os.path.isdir(folder) or os.stat(folder).st_mode & 0o005 != 0o005:
        pytest.skip(f"{folder} is not there, or not for everybody")
    confined = hostile(read_only=[folder], hosts=hosts)

    assert await confined("look", path="/home") == ["mcp"]
    assert await confined("look", path=folder) == sorted(os.listdir(folder))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that its children can not open")
async def test_a_granted_folder_that_its_user_can_not_open_is_told(hostile: Hostile, tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match="who can not open it: let that user in"):
        await hostile(read_only=[str(tmp_path)])("limits")


async def test_names_are_not_looked_up_without_a_network(hostile: Hostile) -> None:
    assert is_refused(await hostile()("resolve", name="example.com"))


async def test_forking_for_ever_ends_at_the_limit(hostile: Hostile) -> None:
    assert await hostile(limits=Limits(processes=40))("fork_for_ever") < 40


async def test_nobody_else_is_short_of_processes(hostile: Hostile) -> None:
    confined, other = hostile(limits=Limits(processes=40), in_session=True), hostile("other")
    assert await confined("fork_for_ever") < 40

    assert await other("fork_for_ever") > 100


async def test_memory_ends_at_the_limit(hostile: Hostile) -> None:
    assert is_refused(await hostile(limits=Limits(memory=128 * MIB))("fill_memory"))


async def test_memory_is_counted_over_all_its_processes(hostile: Hostile) -> None:
    confined = hostile(limits=Limits(memory=128 * MIB))
    upstream = await confined.server.shared()

    await confined("fill_memory_by_children", count=4, megabytes=60)

    async with asyncio.timeout(10):
        while not upstream.has_ended:
            await asyncio.sleep(0.05)
    assert "limits.memory" in (confined.server.status().last_error or "")


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm", "/home/mcp"])
async def test_a_full_disk_is_its_own(hostile: Hostile, folder: str) -> None:
    assert is_refused(await hostile(limits=Limits(file_size=50 * MIB))("fill", folder=folder, megabytes=300))


async def test_many_files_are_counted_together(hostile: Hostile) -> None:
    confined = hostile(limits=Limits(disk=20 * MIB))
    upstream = await confined.server.shared()

    await confined("fill_many", folder="/home/mcp", files=5, megabytes=8)

    async with asyncio.timeout(10):
        while not upstream.has_ended:
            await asyncio.sleep(0.05)
    assert "limits.disk" in (confined.server.status().last_error or "")


@pytest.mark.parametrize("in_session", [False, True], ids=["shared", "session"])
@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_nothing_outlives_it(
    hostile: Hostile, named_script: Path, running: Running, how: str, in_session: bool
) -> None:
    confined = hostile(script=named_script, in_session=in_session)
    assert await confined("outlive", seconds=61.5) == "left behind"
    upstream = await confined.upstream()
    assert len(running()) > 2

    if how == "killed":
        os.kill(upstream.pid, signal.SIGKILL)
    else:
        await upstream.stop()

    async with asyncio.timeout(10):
        while running():
            await asyncio.sleep(0.02)


async def test_floods_and_foreign_answers_do_not_stop_the_gateway(hostile: Hostile) -> None:
    confined, other = hostile(), hostile("other")
    await other("limits")
    flooding = [
        asyncio.create_task(confined("flood", stream="stdout", megabytes=40)),
        asyncio.create_task(confined("flood", stream="stderr", megabytes=40)),
    ]

    slowest = 0.0
    for _ in range(20):
        begun = time.monotonic()
        await other("limits")
        slowest = max(slowest, time.monotonic() - begun)

    assert slowest < 1
    assert await asyncio.gather(*flooding) == ["flooded", "flooded"]


async def test_answers_to_other_peoples_ids_reach_nobody(hostile: Hostile) -> None:
    """Neither those who wait for another server nor those who wait for another process of this one."""
    confined, session, other = hostile(), hostile(in_session=True), hostile("other")
    session.server = confined.server
    waiting = [asyncio.create_task(each("wait", seconds=1)) for each in (session, other)]
    await asyncio.sleep(0.3)

    with pytest.raises(ValueError, match=r".+"):  # its own call gets what it said first, which is no JSON
        await confined("answer_others")

    assert await asyncio.gather(*waiting) == ["waited", "waited"]
    assert await confined("limits") == {"CORE": 0, "NOFILE": 1024}

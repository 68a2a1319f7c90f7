"""What is there to be taken or reached: the hostile server gets it without confinement, and confined not."""

import asyncio
import contextlib
import os
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from archestra_gateway.sandbox.confine import Sandbox
from archestra_gateway.sandbox.trial import landlock

Hostile = Callable[..., Any]
Running = Callable[[], list[int]]

IS_ROOT = os.geteuid() == 0


@attrs.frozen
class Machine:
    """Everything that somebody could be after."""

    home: Path
    data_dir: Path
    service: int
    name_server: int
    unix_socket: Path
    abstract: str
    other: int
    """The pid of another server's child, with a secret in its environment."""


@pytest.fixture
async def service() -> AsyncIterator[int]:
    """The port of a program on this machine, as the gateway itself is one."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nwelcome")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.transport.sendto(data, address)


@pytest.fixture
async def name_server() -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    yield transport.get_extra_info("sockname")[1]
    transport.close()


@pytest.fixture
def other() -> Iterator[int]:
    with subprocess.Popen(["sleep", "600"], env={"API_KEY": "the-others-key"}) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def machine(home: Path, data_dir: Path, service: int, name_server: int, other: int) -> Iterator[Machine]:
    note = data_dir / "servers" / "other" / "home" / "note"
    note.parent.mkdir(parents=True)
    note.write_text("of the other server")
    with contextlib.ExitStack() as open_sockets:
        agent = open_sockets.enter_context(socket.socket(socket.AF_UNIX))
        abstract = open_sockets.enter_context(socket.socket(socket.AF_UNIX))
        folder = open_sockets.enter_context(tempfile.TemporaryDirectory(dir="/tmp"))
        agent.bind(f"{folder}/agent")
        abstract.bind(f"\0archestra-{os.getpid()}")
        for listening in (agent, abstract):
            listening.listen()
        yield Machine(
            home, data_dir, service, name_server, Path(folder, "agent"), f"@archestra-{os.getpid()}", other
        )


Attempt = Callable[[Machine], dict[str, Any]]

ATTEMPTS: dict[str, tuple[str, Attempt]] = {
    "a private key": ("read", lambda on: {"path": str(on.home / ".ssh" / "id_ed25519")}),
    "the names of private keys": ("look", lambda on: {"path": str(on.home / ".ssh")}),
    "the gateway's token": ("read", lambda on: {"path": str(on.data_dir / "token")}),
    "the gateway's database": ("read", lambda on: {"path": str(on.data_dir / "gateway.db")}),
    "another server's home": ("read", lambda on: {"path": f"{on.data_dir}/servers/other/home/note"}),
    "another server's environment": ("read", lambda on: {"path": f"/proc/{on.other}/environ"}),
    "another server's command": ("read", lambda on: {"path": f"/proc/{on.other}/cmdline"}),
    "another server's life": ("kill", lambda on: {"pid": on.other}),
    "the gateway's environment": ("read", lambda on: {"path": f"/proc/{os.getpid()}/environ"}),
    "the gateway's memory": ("read", lambda on: {"path": f"/proc/{os.getpid()}/maps"}),
    "a port of this machine": ("connect", lambda on: {"host": "127.0.0.1", "port": on.service}),
    "a port by its name": ("connect", lambda on: {"host": "localhost", "port": on.service}),
    "a name server": ("ask_name_server", lambda on: {"address": "127.0.0.1", "port": on.name_server}),
    "an abstract socket": ("unix_socket", lambda on: {"path": on.abstract}),
    "a socket in a folder": ("unix_socket", lambda on: {"path": str(on.unix_socket)}),
    "a new user namespace": ("new_user_namespace", lambda on: {}),
    "a file in the system": ("write", lambda on: {"path": "/usr/share/archestra-attempt"}),
    "the system's passwords": ("read", lambda on: {"path": "/etc/shadow"}),
    "root": ("become_root", lambda on: {}),
}
ONLY_OF_ROOT = {"a file in the system", "the system's passwords", "root"}
"""What an ordinary user is refused anyway."""


@pytest.fixture(params=list(ATTEMPTS))
def attempt(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def tried(confined: Any, attempt: str, machine: Machine) -> Any:
    tool, arguments = ATTEMPTS[attempt]
    return await confined(tool, **arguments(machine))


def is_refused(answer: Any) -> bool:
    return isinstance(answer, str) and answer.startswith("refused: ")


async def test_without_confinement_it_succeeds(
    hostile: Hostile, sandbox: Sandbox, machine: Machine, attempt: str
) -> None:
    """So the tests below can fail."""
    sandbox.allows_root = True
    if attempt in ONLY_OF_ROOT and not IS_ROOT:
        pytest.skip("an ordinary user can not do that")
    try:
        answer = await tried(hostile(sandbox="off"), attempt, machine)
    finally:
        Path("/usr/share/archestra-attempt").unlink(missing_ok=True)

    assert not is_refused(answer)


@pytest.mark.parametrize("in_session", [False, True], ids=["shared", "session"])
async def test_confined_it_is_refused(
    hostile: Hostile, machine: Machine, attempt: str, in_session: bool
) -> None:
    confined = hostile(in_session=in_session)

    assert is_refused(await tried(confined, attempt, machine))
    assert (await confined.upstream()).sandbox == confined.server.status().sandbox == "bubblewrap"


@pytest.mark.parametrize("attempt", ["a port of this machine", "an abstract socket", "a private key", "root"])
async def test_a_way_out_to_a_host_is_no_way_to_anything_else(
    hostile: Hostile, machine: Machine, attempt: str
) -> None:
    confined = hostile(hosts=["example.com:443"], in_session=True)

    assert is_refused(await tried(confined, attempt, machine))


class TestLandlock:
    """The other mechanism, for a gateway that is not root; everything through the pool."""

    @pytest.fixture(autouse=True)
    def use_landlock(self, sandbox: Sandbox) -> None:
        try:
            sandbox.use(landlock())
        except LookupError as error:
            pytest.skip(str(error))

    @pytest.mark.parametrize("in_session", [False, True], ids=["shared", "session"])
    async def test_it_is_refused(
        self, hostile: Hostile, machine: Machine, attempt: str, in_session: bool
    ) -> None:
        confined = hostile(in_session=in_session)

        assert is_refused(await tried(confined, attempt, machine))
        assert confined.server.status().sandbox == "landlock"

    async def test_nothing_outlives_it(self, hostile: Hostile, named_script: Path, running: Running) -> None:
        confined = hostile(script=named_script)
        assert await confined("outlive", seconds=61.5) == "left behind"
        assert len(running()) > 1

        await confined.server.stop()

        async with asyncio.timeout(10):
            while running():
                await asyncio.sleep(0.02)

    async def test_what_it_can_not_give_is_refused(self, hostile: Hostile) -> None:
        with pytest.raises(Exception, match="only where bubblewrap is"):
            await hostile(hosts=["example.com:443"])("limits")

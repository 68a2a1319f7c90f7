"""Where the daemon listens, and what is said when it can not."""

import os
import socket
import threading
from pathlib import Path

import pytest

from archestra_gateway.daemon.exit_code import CommandError, ExitCode
from archestra_gateway.daemon.listen import listen
from archestra_gateway.daemon.port_holder import inodes
from archestra_gateway.daemon.systemd import activated_sockets, notify

TCP_TABLE = """\
   0: 0100007F:D53B 0100007F:2CAA 01 00000000:00000000 00:00000000 00000000  0  0 111 1 0
   1: 0100007F:D53B 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 222 1 0
   2: 0100007F:D53C 0100007F:2CAA 01 00000000:00000000 00:00000000 00000000  0  0 333 1 0
   3: 0100007F:D53D 0100007F:2CAA 06 00000000:00000000 03:00001756 00000000  0  0 0 3 0
"""


def close(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()


def test_every_address_listens_on_the_same_free_port() -> None:
    sockets = listen(("127.0.0.1", "::1"), 0)

    names = [each.getsockname()[:2] for each in sockets]
    close(sockets)

    assert [name[0] for name in names] == ["127.0.0.1", "::1"]
    assert len({name[1] for name in names}) == 1


def test_an_address_the_machine_does_not_have_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    sockets = listen(("127.0.0.1", "2001:db8::1"), 0)
    close(sockets)

    assert len(sockets) == 1
    assert "no address 2001:db8::1" in caplog.text


def test_a_machine_with_none_of_the_addresses_is_told_so() -> None:
    with pytest.raises(CommandError, match="none of the addresses 2001:db8::1"):
        listen(("2001:db8::1",), 0)


def test_a_busy_port_is_refused_with_the_name_of_the_program() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(CommandError) as refused:
            listen(("127.0.0.1",), port)

    assert refused.value.code == ExitCode.PORT_BUSY
    assert f"Port {port} is taken by pid {os.getpid()}: " in str(refused.value)


def test_a_port_that_is_busy_for_a_moment_is_waited_for() -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    letting_go = threading.Timer(0.3, taken.close)
    letting_go.start()

    sockets = listen(("127.0.0.1",), port)
    close(sockets)
    letting_go.join()

    assert len(sockets) == 1


def test_the_listening_socket_of_a_port_is_found_before_a_connection() -> None:
    table = TCP_TABLE.splitlines()

    assert inodes(table, 0xD53B) == {"222"}
    assert inodes(table, 0xD53C) == {"333"}
    assert inodes(table, 0xD53D) == set()


def test_sockets_of_systemd_are_for_the_process_it_names() -> None:
    assert activated_sockets({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == []
    assert activated_sockets({}) == []


def test_the_service_manager_hears_that_we_are_ready(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))

        notify({"NOTIFY_SOCKET": str(tmp_path / "notify")}, "READY=1")

        assert manager.recv(100) == b"READY=1"
    notify({}, "READY=1")

"""Which user is at the other end, asked of the kernel in two ways."""

import os
import socket
import sys
from collections.abc import Callable, Iterator

import pytest

from archestra_gateway.web import peer
from archestra_gateway.web.peer import Address

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")

Way = Callable[[Address, Address], int | None]
WAYS = pytest.mark.parametrize("way", [peer._ask_netlink, peer._read_proc])


@pytest.fixture(params=["127.0.0.1", "::1"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The client's end and ours."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.create_server((request.param, 0), family=family) as listening:
        client = socket.create_connection(listening.getsockname()[:2])
        accepted, _ = listening.accept()
        with client, accepted:
            yield client, accepted


def addresses(accepted: socket.socket) -> tuple[Address, Address]:
    return accepted.getpeername()[:2], accepted.getsockname()[:2]


@WAYS
def test_the_owner_of_the_clients_socket_is_found(
    ends: tuple[socket.socket, socket.socket], way: Way
) -> None:
    assert way(*addresses(ends[1])) == os.geteuid()


@WAYS
def test_a_client_that_has_closed_its_socket_is_nobody(
    ends: tuple[socket.socket, socket.socket], way: Way
) -> None:
    client, accepted = ends
    client.close()

    assert way(*addresses(accepted)) is None


@WAYS
def test_a_client_that_has_only_said_its_last_word_is_somebody(
    ends: tuple[socket.socket, socket.socket], way: Way
) -> None:
    client, accepted = ends
    client.shutdown(socket.SHUT_WR)

    assert way(*addresses(accepted)) == os.geteuid()


def test_nobody_is_not_us(ends: tuple[socket.socket, socket.socket]) -> None:
    client, accepted = ends
    assert not peer.is_another_user(*addresses(accepted))

    client.close()

    assert peer.is_another_user(*addresses(accepted))

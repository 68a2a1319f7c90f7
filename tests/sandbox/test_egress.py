"""The way out of a confined server: exactly what was granted, and every refusal noted."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address
from typing import Any

import pytest

from archestra_gateway.sandbox.egress import LoopbackEgress
from archestra_gateway.sandbox.egress_gate import DenialList, Gate, RefusedError, is_own, is_public, plain
from archestra_gateway.schemas.permissions import Endpoint, Permissions
from archestra_gateway.upstreams.lesson import learn

Hostile = Callable[..., Any]
GATEWAY_PORT = 54999


@pytest.fixture
async def service() -> AsyncIterator[int]:
    """The port of something that greets whoever connects."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nwelcome")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


def noted(confined: Any) -> list[tuple[str, str | None]]:
    return [(denial.endpoint, denial.grant) for denial in confined.server.denials.shown()]


async def test_a_granted_host_is_reached_and_nothing_beside_it(hostile: Hostile, service: int) -> None:
    confined = hostile(hosts=[f"localhost:{service}"])

    assert "200 OK" in await confined("connect", host="localhost", port=service)
    assert (await confined("connect", host="example.com", port=443)).startswith("refused")
    assert (await confined("connect", host="93.184.216.34", port=80)).startswith("refused")
    assert noted(confined) == [
        ("example.com:443", "example.com:443"),
        ("93.184.216.34:80", "93.184.216.34:80"),
    ]


async def test_the_sessions_of_a_server_have_their_own_way_out(hostile: Hostile, service: int) -> None:
    one, other = hostile("one", hosts=[f"localhost:{service}"]), hostile("other", hosts=["localhost:9"])

    assert "200 OK" in await one("connect", host="localhost", port=service)
    assert (await other("connect", host="localhost", port=service)).startswith("refused")
    assert "200 OK" in await one("connect", host="localhost", port=service)


async def test_the_whole_network_is_not_this_machine_and_not_the_neighbours(
    hostile: Hostile, service: int
) -> None:
    confined = hostile(whole_network=True)

    for host, port in (("127.0.0.1", 443), ("10.0.0.1", 443), ("192.168.1.1", 80), ("169.254.169.254", 80)):
        assert (await confined("connect", host=host, port=port)).startswith("refused"), host

    assert noted(confined) == [
        ("127.0.0.1:443", "127.0.0.1:443"),
        ("10.0.0.1:443", "10.0.0.1:443"),
        ("192.168.1.1:80", "192.168.1.1:80"),
        ("169.254.169.254:80", None),
    ]


async def test_the_gateway_itself_is_never_reached(hostile: Hostile) -> None:
    confined = hostile(hosts=[f"localhost:{GATEWAY_PORT}"], whole_network=True)

    assert (await confined("connect", host="localhost", port=GATEWAY_PORT)).startswith("refused")

    (denial,) = confined.server.denials.shown()
    assert (denial.reason, denial.grant) == ("It is this gateway", None)


async def test_a_run_that_learns_notes_everything_and_grants_nothing(hostile: Hostile) -> None:
    confined = hostile()
    confined.server.is_learning = True
    try:
        assert (await confined("connect", host="example.com", port=443)).startswith("refused")
    finally:
        confined.server.is_learning = False
        await confined.server.stop()
    assert noted(confined) == [("example.com:443", "example.com:443")]

    assert await learn(confined.server) is None

    assert noted(confined) == []
    assert confined.server.status().state == "stopped"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True), ("2606:2800:220:1::1", True), ("127.0.0.1", False), ("10.1.2.3", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False),
        ("::1", False), ("fe80::1", False), ("fd00::1", False), ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False),
    ],
)  # fmt: skip
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(plain(ip_address(address))) is public


def test_an_address_of_this_machine_is_known() -> None:
    assert is_own(ip_address("127.0.0.1"))
    assert not is_own(ip_address("93.184.216.34"))


async def test_a_name_without_an_address_is_an_error_and_no_denial(service: int) -> None:
    denials = DenialList("one")
    gate = Gate(
        Permissions(hosts=["no-such-name.invalid:443", f"localhost:{service}"]), denials, GATEWAY_PORT
    )

    with pytest.raises(OSError, match=r".+"):
        await gate.connect(Endpoint("no-such-name.invalid", 443))

    assert denials.shown() == []
    assert denials.unreached.startswith("no-such-name.invalid:443 can not be reached: ")
    _, writer = await gate.connect(Endpoint("localhost", service))
    writer.close()
    assert denials.unreached == ""


async def test_denials_are_counted_and_bounded() -> None:
    denials = DenialList("one")
    gate = Gate(Permissions(), denials, GATEWAY_PORT)

    for port in (*range(1, 1500), 1, 1):
        with pytest.raises(RefusedError):
            await gate.connect(Endpoint("example.com", port))

    assert len(denials.shown()) == 1000
    assert denials.shown()[0].count == 3


async def test_the_proxy_on_a_shared_loopback_asks_for_its_password(service: int) -> None:
    gate = Gate(Permissions(hosts=[f"localhost:{service}"]), DenialList("one"), GATEWAY_PORT)
    egress = await LoopbackEgress.open(gate)

    async def ask(target: str, headers: str = "") -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", egress.port)
        writer.write(f"CONNECT {target} HTTP/1.1\r\n{headers}\r\n".encode())
        answer = await reader.readline()
        if b" 200 " in answer:
            await reader.readline()
            writer.write(b"hello\n")
            answer = await reader.read()
        writer.close()
        return answer

    secret = base64.b64encode(egress.url.removeprefix("http://").rpartition("@")[0].encode()).decode()
    known = f"Proxy-Authorization: Basic {secret}\r\n"
    assert b" 407 " in await ask(f"localhost:{service}")
    assert b" 403 " in await ask("example.com:443", known)
    assert b" 400 " in await ask("rubbish", known)
    assert b"welcome" in await ask(f"localhost:{service}", known)
    egress.close()

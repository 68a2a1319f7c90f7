"""How far a login may reach."""

import socket

import pytest

from archestra_gateway.errors import UpstreamError
from archestra_gateway.oauth.fetch import open_fetcher
from archestra_gateway.oauth.reach import Limits, Reach, reach_of

PUBLIC = Limits.of("https://mcp.example/mcp")
LOCAL = Limits.of("http://localhost:3000/mcp")
HOUSE = Limits.of("https://10.1.2.3/mcp")
COMPANY = Limits.of("https://mcp.corp.example/mcp", ["login.corp.example"])


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("127.0.0.1", Reach.LOOPBACK),
        ("127.9.9.9", Reach.LOOPBACK),
        ("::1", Reach.LOOPBACK),
        ("::ffff:127.0.0.1", Reach.LOOPBACK),
        ("64:ff9b::7f00:1", Reach.LOOPBACK),
        ("2002:7f00:1::", Reach.LOOPBACK),
        ("10.0.0.1", Reach.PRIVATE),
        ("172.31.255.255", Reach.PRIVATE),
        ("192.168.0.1", Reach.PRIVATE),
        ("100.64.0.1", Reach.PRIVATE),
        ("fd00::1", Reach.PRIVATE),
        ("::ffff:10.0.0.1", Reach.PRIVATE),
        ("169.254.169.254", Reach.NOWHERE),
        ("0.0.0.0", Reach.NOWHERE),
        ("::", Reach.NOWHERE),
        ("255.255.255.255", Reach.NOWHERE),
        ("224.0.0.1", Reach.NOWHERE),
        ("fe80::1%eth0", Reach.NOWHERE),
        ("8.8.8.8", Reach.PUBLIC),
        ("2606:4700::1111", Reach.PUBLIC),
    ],
)
def test_whose_an_address_is(address: str, reach: Reach) -> None:
    assert reach_of(address) is reach


@pytest.mark.parametrize(
    ("limits", "url"),
    [
        (PUBLIC, "https://as.example"),
        (PUBLIC, "https://8.8.8.8/x?y=z"),
        (LOCAL, "http://127.0.0.1:9000/"),
        (LOCAL, "http://[::1]:9000/"),
        (LOCAL, "http://as.localhost/"),
        (LOCAL, "https://as.example/"),
        (HOUSE, "https://10.1.2.3/token"),
        (COMPANY, "https://login.corp.example/token"),
    ],
)
def test_where_a_login_may_go(limits: Limits, url: str) -> None:
    assert limits.check(url, "page") == url


@pytest.mark.parametrize(
    ("limits", "url"),
    [
        (PUBLIC, "http://as.example/"),
        (PUBLIC, "https://localhost/"),
        (PUBLIC, "https://127.0.0.1/"),
        (PUBLIC, "https://[::1]/"),
        (PUBLIC, "https://10.0.0.1/"),
        (LOCAL, "http://as.example/"),
        (LOCAL, "https://10.0.0.1/"),
        (LOCAL, "https://169.254.169.254/"),
        (HOUSE, "https://10.1.2.4/"),
        (HOUSE, "https://127.0.0.1/"),
        (HOUSE, "http://10.1.2.3/"),
        (COMPANY, "https://localhost/"),
    ],
)
def test_where_a_login_may_not_go(limits: Limits, url: str) -> None:
    with pytest.raises(UpstreamError):
        limits.check(url, "page")


def test_a_company_names_the_hosts_whose_addresses_may_be_private() -> None:
    COMPANY.check_address("login.corp.example", "10.9.9.9")

    for host, address in (("as.example", "10.9.9.9"), ("login.corp.example", "127.0.0.1")):
        with pytest.raises(UpstreamError):
            COMPANY.check_address(host, address)


async def test_a_name_that_leads_to_this_machine_is_not_connected_to() -> None:
    name = next(
        (name for name in ("ip6-localhost", "localhost.localdomain", socket.gethostname()) if local(name)), ""
    )
    if not name:
        pytest.skip("no name but localhost leads to this machine")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"https://{name}:{server.getsockname()[1]}/"
        async with open_fetcher(PUBLIC, 5) as fetcher:
            with pytest.raises(UpstreamError, match="where a login has no business"):
                await fetcher.get(url, "page")
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def local(name: str) -> bool:
    try:
        return any(reach_of(str(found[4][0])) is not Reach.PUBLIC for found in socket.getaddrinfo(name, 0))
    except OSError:
        return False

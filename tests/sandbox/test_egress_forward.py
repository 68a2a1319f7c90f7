"""A machine that gets out through a proxy only: the gate decides, and the proxy dials."""

import asyncio
import base64
from collections.abc import AsyncIterator

import attrs
import pytest

from archestra_gateway.sandbox.egress_forward import Forward, forward
from archestra_gateway.sandbox.egress_gate import DenialList, Gate, RefusedError
from archestra_gateway.schemas.permissions import Endpoint, Permissions

LOGIN = f"Basic {base64.b64encode(b'me:p@ss').decode()}"


@attrs.define
class Proxy:
    """Answers every CONNECT with `status`, and then in the place of the host."""

    port: int = 0
    status: str = "200 Connection established"
    heads: list[str] = attrs.field(factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(f"HTTP/1.1 {self.status}\r\nVia: me\r\n\r\n".encode())
        if self.status.startswith("200"):
            writer.write(b"at the end of the tunnel")
        writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    proxy = Proxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    yield proxy
    server.close()


def gate(found: Forward | None, *hosts: str) -> Gate:
    return Gate(Permissions(hosts=list(hosts)), DenialList("one"), 54999, trusts_names=True, forward=found)


async def test_a_granted_host_is_reached_through_the_proxy(proxy: Proxy) -> None:
    found = forward({"HTTPS_PROXY": f"http://me:p%40ss@127.0.0.1:{proxy.port}"})

    reader, writer = await gate(found, "registry.invalid:443").connect(Endpoint("registry.invalid", 443))

    assert await reader.read() == b"at the end of the tunnel"
    writer.close()
    (head,) = proxy.heads
    assert head.startswith("CONNECT registry.invalid:443 HTTP/1.1\r\nHost: registry.invalid:443\r\n")
    assert f"Proxy-Authorization: {LOGIN}\r\n" in head
    assert "p@ss" not in repr(found)


async def test_what_is_not_granted_does_not_get_to_the_proxy(proxy: Proxy) -> None:
    found = Forward("127.0.0.1", proxy.port)

    with pytest.raises(RefusedError):
        await gate(found, "registry.invalid:443").connect(Endpoint("other.invalid", 443))

    assert proxy.heads == []


async def test_exceptions_are_reached_without_the_proxy(proxy: Proxy) -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    found = forward({"all_proxy": f"127.0.0.1:{proxy.port}", "NO_PROXY": "localhost,.corp"})

    _, writer = await gate(found, f"localhost:{port}").connect(Endpoint("localhost", port))

    writer.close()
    server.close()
    assert proxy.heads == []
    assert found is not None
    assert [found.is_for(host) for host in ("registry.corp", "localhost", "example.com")] == [
        False,
        False,
        True,
    ]


async def test_what_the_proxy_refuses_is_told(proxy: Proxy) -> None:
    proxy.status = "407 Proxy Authentication Required"

    with pytest.raises(OSError, match=r"proxy at 127.0.0.1:\d+ said: 407 Proxy Authentication Required"):
        await gate(Forward("127.0.0.1", proxy.port), "a.invalid:443").connect(Endpoint("a.invalid", 443))


@pytest.mark.parametrize("url", ["socks5://proxy.example:1080", "https://proxy.example", "http://"])
def test_a_proxy_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="a proxy must be http://host:port"):
        forward({"HTTPS_PROXY": url})


async def test_names_of_the_machines_own_settings_may_be_private_but_never_the_gateway() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    trusting = gate(None, f"localhost:{port}", "localhost:54999", "169.254.169.254:80")

    _, writer = await trusting.connect(Endpoint("localhost", port))

    writer.close()
    server.close()
    with pytest.raises(RefusedError, match="It is this gateway"):
        await trusting.connect(Endpoint("localhost", 54999))

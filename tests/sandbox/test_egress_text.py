"""What a child's network says and asks: name queries and proxy requests, as bytes."""

import struct

import pytest

from archestra_gateway.sandbox import egress_proxy
from archestra_gateway.sandbox.egress_names import Names, answer
from archestra_gateway.schemas.permissions import Endpoint


def query(name: str, kind: int = 1) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


def test_every_name_has_an_address_by_which_it_is_known_again() -> None:
    names = Names()

    one, other = answer(query("api.example.com"), names.address_of), answer(query("b"), names.address_of)

    assert one is not None
    assert one[:4] == struct.pack(">HH", 7, 0x8180 | 0x0100)
    assert one[-4:] == bytes([11, 0, 1, 0])
    assert other is not None
    assert other[-4:] == bytes([11, 0, 1, 1])
    assert names.name_of("11.0.1.0") == "api.example.com"
    assert names.name_of("1.1.1.1") == "1.1.1.1"


def test_upper_and_lower_case_are_the_same_name() -> None:
    names = Names()

    assert names.address_of("a.b") == "11.0.1.0"
    answer(query("A.B"), names.address_of)

    assert names.address_of("c") == "11.0.1.1"


def test_there_are_no_ipv6_addresses_and_no_records_but_addresses() -> None:
    for kind in (28, 16, 65):
        reply = answer(query("example.com", kind), Names().address_of)
        assert reply is not None
        assert struct.unpack_from(">H", reply, 6) == (0,)


@pytest.mark.parametrize(
    "message",
    [b"", b"\0" * 11, query("a")[:-3], b"\0\1\x81\0\0\1" + b"\0" * 6, query("a")[:12] + b"\xc0\x0c"],
)
def test_what_is_no_question_gets_no_answer(message: bytes) -> None:
    assert answer(message, Names().address_of) is None


def test_connect_names_the_endpoint() -> None:
    wanted = egress_proxy.parse(b"CONNECT API.example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n")

    assert wanted == egress_proxy.ProxyRequest(Endpoint("api.example.com", 443), None)


def test_a_plain_request_loses_what_was_for_the_proxy() -> None:
    wanted = egress_proxy.parse(
        b"GET http://example.com/a?b=c HTTP/1.1\r\nHost: example.com\r\nProxy-Authorization: Basic x\r\n"
        b"Connection: keep-alive\r\n\r\n"
    )

    assert wanted.endpoint == Endpoint("example.com", 80)
    assert wanted.forwarded == b"GET /a?b=c HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1", b"CONNECT host HTTP/1.1", b"CONNECT host:0 HTTP/1.1", b"CONNECT a b:1 HTTP/1.1",
        b"GET https://a/ HTTP/1.1", b"GET http://a:99999/ HTTP/1.1", b"rubbish", b"CONNECT a:1 HTTP/2",
    ],
)  # fmt: skip
def test_anything_else_is_no_request_to_a_proxy(line: bytes) -> None:
    with pytest.raises(egress_proxy.NotProxyRequestError):
        egress_proxy.parse(line + b"\r\n\r\n")


def test_the_password_is_asked_of_a_shared_loopback() -> None:
    right = b"CONNECT a:1 HTTP/1.1\r\nproxy-authorization: Basic bWNwOnB3\r\n\r\n"

    assert egress_proxy.knows(right, "pw")
    assert not egress_proxy.knows(right, "other")
    assert not egress_proxy.knows(b"CONNECT a:1 HTTP/1.1\r\n\r\n", "pw")


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("api.example.com:443", Endpoint("api.example.com", 443)),
        ("Example.COM.:80", Endpoint("example.com", 80)),
        ("10.0.0.1:5432", Endpoint("10.0.0.1", 5432)),
        ("[::1]:80", Endpoint("::1", 80)),
    ],
)
def test_an_endpoint_is_host_and_port(text: str, endpoint: Endpoint) -> None:
    assert Endpoint.parse(text) == endpoint


@pytest.mark.parametrize(
    "text",
    [
        "example.com",
        ":443",
        "a:0",
        "a:65536",
        "a b:1",
        "*.a:1",
        "http://a:1",
        "256.1.1.1:80",
        "a/b:1",
        "127.1:80",
    ],
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Endpoint.parse(text)

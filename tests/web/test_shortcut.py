"""Which bytes are one more request under a head that is known, and which are not."""

import re
from typing import Any

import pytest
from aiohttp import HttpVersion10, HttpVersion11
from aiohttp.test_utils import make_mocked_request

from archestra_gateway.web.shortcut import MOST_BODY, KnownHead, Shortcut, known_head

HEAD = b"POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nAccept: b\r\n\r\n"


class Begun:
    def __init__(self) -> None:
        self.has_left = False

    def leave(self) -> None:
        self.has_left = True

    async def see_through(self) -> None:
        raise AssertionError("nobody asked for it")


def head(length: int | str) -> bytes:
    return HEAD.replace(b": 5\r", f": {length}\r".encode())


@pytest.fixture
def known() -> KnownHead:
    found = known_head(HEAD, 5, lambda body: Begun())
    assert found is not None
    return found


@pytest.mark.parametrize("length", [1, 5, 10, 4321, MOST_BODY])
def test_a_body_of_any_length_is_found(known: KnownHead, length: int) -> None:
    data = head(length) + b"x" * length

    assert known.missing(data) == 0
    assert known.body(data) == b"x" * length
    assert known.missing(data[:-1]) == 1
    assert known.missing(head(length)) == length


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEAD[:-1],
        head(5) + b"123456",
        head(5) + b"12345" + head(5),
        head("05") + b"12345",
        head("+5") + b"12345",
        head(" 5") + b"12345",
        head("") + b"12345",
        head(0),
        head(MOST_BODY + 1),
        head("123456"),
        head("5\r\nTransfer-Encoding: chunked") + b"12345",
        HEAD.replace(b"Accept", b"accept") + b"12345",
        HEAD.replace(b"/mcp ", b"/mcq ") + b"12345",
        HEAD.replace(b"\r\n", b"\n") + b"12345",
    ],
)
def test_anything_else_is_not(known: KnownHead, data: bytes) -> None:
    assert known.missing(data) is None


@pytest.mark.parametrize(
    ("text", "length"),
    [
        (HEAD.replace(b"Content-Length: 5\r\n", b""), 0),
        (HEAD.replace(b"Accept: b", b"Content-Length: 5"), 5),
        (HEAD, 6),
        (head("05"), 5),
    ],
)
def test_a_head_whose_length_is_not_plain_is_not_learnt(text: bytes, length: int) -> None:
    assert known_head(text, length, lambda body: Begun()) is None


def request(data: bytes, version: Any = HttpVersion11) -> Any:
    lines = data.partition(b"\r\n\r\n")[0].decode().splitlines()[1:]
    headers = dict(re.split(": *", line, maxsplit=1) for line in lines)
    return make_mocked_request("POST", "/mcp", headers, version=version)


def learnt(shortcut: Shortcut, *pieces: bytes, asked: Any = None) -> list[bytes]:
    """What goes to aiohttp when `pieces` come, and the handler wants more of them."""
    passed = [shortcut.take(piece, True) for piece in pieces]
    shortcut.wanted = lambda body: Begun()
    shortcut.learn(request(b"".join(pieces)) if asked is None else asked)
    return passed


@pytest.mark.parametrize(
    "pieces", [[HEAD + b"12345"], [HEAD, b"12345"], [HEAD[:9], HEAD[9:] + b"1", b"2345"]]
)
def test_the_second_one_is_taken(pieces: list[bytes]) -> None:
    shortcut = Shortcut()

    assert learnt(shortcut, *pieces) == pieces
    assert shortcut.take(head(7) + b"1234567", True) == b""


@pytest.mark.parametrize(
    "strange",
    [
        [HEAD + b"12345" + b"GET"],
        [HEAD + b"1234"],
        [HEAD.replace(b"Accept: b", b"Transfer-Encoding: chunked") + b"12345"],
        [HEAD.replace(b"Accept: b", b"X: " + b"x" * 20_000) + b"12345"],
    ],
)
def test_after_bytes_that_are_not_accounted_for_nothing_is_learnt(strange: list[bytes]) -> None:
    shortcut = Shortcut()
    learnt(shortcut, *strange)

    learnt(shortcut, HEAD + b"12345")

    assert shortcut.take(HEAD + b"12345", True) == HEAD + b"12345"


@pytest.mark.parametrize(
    "asked",
    [
        request(HEAD, HttpVersion10),
        request(HEAD.replace(b"Accept: b", b"Expect: 100-continue")),
    ],
)
def test_what_is_old_or_expects_more_is_not_learnt(asked: Any) -> None:
    shortcut = Shortcut()

    learnt(shortcut, HEAD + b"12345", asked=asked)

    assert shortcut.take(HEAD + b"12345", True) == HEAD + b"12345"


def test_only_an_idle_connection_takes_it() -> None:
    shortcut = Shortcut()
    learnt(shortcut, HEAD + b"12345")

    assert shortcut.take(HEAD + b"12345", False) == HEAD + b"12345"
    assert shortcut.take(HEAD + b"12345", True) == HEAD + b"12345"  # the parser has bytes of its own now


def test_more_bytes_hand_over_what_was_begun() -> None:
    shortcut = Shortcut()
    learnt(shortcut, HEAD + b"12345")
    shortcut.take(HEAD + b"12345", True)

    assert shortcut.take(b"GET", True) == HEAD + b"12345GET"
    begun = shortcut.found()
    assert isinstance(begun, Begun)
    assert begun.has_left
    assert shortcut.found() is None


def test_half_a_body_is_given_up() -> None:
    shortcut = Shortcut()
    learnt(shortcut, HEAD + b"12345")

    assert shortcut.take(HEAD + b"123", True) == b""
    assert shortcut.give_up() == HEAD + b"123"
    assert shortcut.give_up() == b""
    assert shortcut.take(b"45", True) == b"45"
    assert shortcut.found() is None


def test_what_is_too_much_behind_half_a_body_goes_with_it() -> None:
    shortcut = Shortcut()
    learnt(shortcut, HEAD + b"12345")
    shortcut.take(HEAD + b"123", True)

    assert shortcut.take(b"45GET", True) == HEAD + b"12345GET"

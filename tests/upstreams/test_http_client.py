"""The raw HTTP client: what it sends, what it takes for an answer, and what it refuses."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from archestra_gateway.errors import InvalidRequest, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from archestra_gateway.upstreams.http_client import HttpClient
from archestra_gateway.upstreams.origin import Origin, StreamedBody, request_head, split_url

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def upstream(talk: Talk) -> AsyncIterator[Origin]:
    """A server whose every byte the test decides."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Origin("http", "127.0.0.1", server.sockets[0].getsockname()[1])


def saying(*answers: bytes, close: bool = True) -> Talk:
    """Answers one request after another with these bytes, then closes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
        if not close:
            await reader.read()

    return talk


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient(connect_timeout=2, read_timeout=5)
    yield client
    client.close()


async def whole(http: HttpClient, origin: Origin, method: str = "GET") -> tuple[int, bytes]:
    async with await http.send(method, origin, "/", (), b"") as response:
        return response.status, b"".join([chunk async for chunk in response])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", (200, b"abc")),
        (CHUNKED + b"3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nT: t\r\n\r\n", (200, b"abcd")),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil close", (200, b"until close")),
        (b"HTTP/1.0 404 Not Found\r\n\r\nno", (404, b"no")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", (304, b"")),
        (
            CONTINUE + b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + CHUNKED + b"1\r\nx\r\n0\r\n\r\n",
            (200, b"x"),
        ),
    ],
    ids=["length", "chunked", "until close", "1.0", "204", "304", "1xx"],
)
async def test_every_kind_of_framing_is_understood(
    http: HttpClient, answer: bytes, expected: tuple[int, bytes]
) -> None:
    async with upstream(saying(answer)) as origin:
        assert await whole(http, origin) == expected


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        CHUNKED + b"5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
        CHUNKED + b"0\r\nT: " + b"x" * 200_000,
        CONTINUE * 10_000,
    ],
    ids=[
        "short",
        "no last chunk",
        "gzip",
        "lengths",
        "both",
        "101",
        "ssh",
        "nothing",
        "head",
        "trailer",
        "1xx",
    ],
)
async def test_an_answer_that_is_not_whole_or_not_http_is_an_error(http: HttpClient, answer: bytes) -> None:
    async with upstream(saying(answer)) as origin:
        with pytest.raises(UpstreamError):
            await whole(http, origin)


async def test_what_came_before_the_break_is_still_given(http: HttpClient) -> None:
    broken = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"

    async with upstream(saying(broken)) as origin, await http.send("GET", origin, "/", (), b"") as response:
        assert await anext(response) == b"short"
        with pytest.raises(UpstreamError):
            await anext(response)


async def test_a_head_answer_has_a_length_and_no_body(http: HttpClient) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"

    async with (
        upstream(saying(head, close=False)) as origin,
        await http.send("HEAD", origin, "/", (), b"") as response,
    ):
        assert response.headers == [("Content-Length", "1234")]
        assert [chunk async for chunk in response] == []


async def test_a_second_request_uses_the_first_ones_connection(http: HttpClient) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"

    async with upstream(saying(answer + b"a", answer + b"b")) as origin:
        assert await whole(http, origin) == (200, b"a")
        assert await whole(http, origin) == (200, b"b")


async def test_a_kept_connection_that_was_closed_meanwhile_costs_nobody_a_request(http: HttpClient) -> None:
    """The other side may close at the very moment a request goes out: it goes once more, on a new one."""
    heard = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        await reader.readuntil(b"\r\n\r\n")
        heard += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
        await reader.readuntil(b"\r\n\r\n")

    async with upstream(talk) as origin:
        assert [await whole(http, origin) for _ in range(3)] == [(200, b"a")] * 3
    assert heard == 3


async def test_bytes_that_nobody_asked_for_never_become_an_answer(http: HttpClient) -> None:
    """Response smuggling: a second answer behind the first one must not meet the next request."""
    good = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

    async with upstream(saying(good + evil, close=False)) as origin:
        assert [await whole(http, origin) for _ in range(2)] == [(200, b"a")] * 2


async def test_an_answer_left_early_cuts_the_connection(http: HttpClient) -> None:
    gone = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED + b"1\r\na\r\n")
        await reader.read()
        gone.set()

    async with upstream(talk) as origin:
        async with await http.send("GET", origin, "/", (), b"") as response:
            assert await anext(response) == b"a"
        async with asyncio.timeout(5):
            await gone.wait()


async def test_silence_is_a_time_out() -> None:
    http = HttpClient(connect_timeout=2, read_timeout=0.1)

    async with upstream(saying(b"", close=False)) as origin:
        with pytest.raises(UpstreamTimeout, match="sent nothing for"):
            await whole(http, origin)


async def test_silence_in_the_middle_of_a_body_is_a_time_out() -> None:
    http = HttpClient(connect_timeout=2, read_timeout=0.1)
    stalled = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nstall"

    async with upstream(saying(stalled, close=False)) as origin:
        with pytest.raises(UpstreamTimeout):
            await whole(http, origin)


async def test_nobody_at_home_is_said_at_once(http: HttpClient) -> None:
    async with upstream(saying()) as origin:
        pass

    with pytest.raises(UpstreamUnavailable, match="can not be reached"):
        await whole(http, origin)


async def test_an_upload_streams_in_our_own_framing(http: HttpClient) -> None:
    received = bytearray()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.extend(await reader.readuntil(b"0\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async def chunks() -> AsyncIterator[bytes]:
        yield b"hello "
        yield b"world"

    async with upstream(talk) as origin:
        async with await http.send("POST", origin, "/up", [("X", "y")], StreamedBody(chunks())) as response:
            assert response.status == 200

        assert received.decode() == (
            f"POST /up HTTP/1.1\r\nHost: {origin.authority}\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n"
            "6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"
        )


async def test_an_upload_is_no_faster_than_the_upstream_reads(http: HttpClient) -> None:
    produced = 0
    read_on = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_on.wait()
        while await reader.read(1 << 20) and produced < 64:
            pass
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal produced
        while produced < 64:
            produced += 1
            yield bytes(1 << 20)

    async with upstream(talk) as origin:
        sending = asyncio.create_task(http.send("POST", origin, "/", (), StreamedBody(chunks(), 64 << 20)))
        await asyncio.sleep(0.2)
        assert produced < 20

        read_on.set()
        async with await sending as response:
            assert response.status == 413


async def test_a_slow_reader_stops_the_upstream(http: HttpClient) -> None:
    written = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 << 20))
        for _ in range(64):
            writer.write(bytes(1 << 20))
            written += 1
            await writer.drain()

    async with upstream(talk) as origin, await http.send("GET", origin, "/", (), b"") as response:
        await asyncio.sleep(0.2)
        assert response.buffered < 1 << 20
        assert written < 20

        assert sum([len(chunk) async for chunk in response]) == 64 << 20


async def test_closing_breaks_what_runs(http: HttpClient) -> None:
    stalled = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nstall"

    async with (
        upstream(saying(stalled, close=False)) as origin,
        await http.send("GET", origin, "/", (), b"") as response,
    ):
        assert await anext(response) == b"stall"
        http.close()
        with pytest.raises(UpstreamUnavailable, match="stopping"):
            await anext(response)


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/a\r\nX: y", ()),
        ("/a b", ()),
        ("/", [("X", "a\r\nY: b")]),
        ("/", [("X\nY", "b")]),
        ("/", [("X", "a\0")]),
    ],
)
def test_a_line_break_is_never_smuggled_in(target: str, headers: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidRequest):
        request_head(Origin("http", "h", 80), "GET", target, headers, b"")


@pytest.mark.parametrize(
    ("url", "origin", "target", "authority"),
    [
        (
            "https://api.openai.com/v1?x=%20",
            Origin("https", "api.openai.com", 443),
            "/v1?x=%20",
            "api.openai.com",
        ),
        ("http://[::1]:11434", Origin("http", "::1", 11434), "/", "[::1]:11434"),
    ],
)
def test_a_url_is_an_origin_and_a_target(url: str, origin: Origin, target: str, authority: str) -> None:
    assert split_url(url) == (origin, target)
    assert origin.authority == authority

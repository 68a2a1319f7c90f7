"""Stream-through: a request goes to an upstream and its answer comes back, both as they come."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import lru_cache
from urllib.parse import unquote

from aiohttp import web
from multidict import CIMultiDict

from archestra_gateway.errors import InvalidRequest, PayloadTooLarge
from archestra_gateway.upstreams.origin import StreamedBody
from archestra_gateway.upstreams.response import BODILESS, Response

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""RFC 9110 §7.6.1; what `Connection` names comes on top."""
NOT_FOR_UPSTREAM = HOP_BY_HOP | {"host", "content-length", "expect", "origin", "referer", "cookie", "cookie2"}
NOT_FOR_CLIENT = HOP_BY_HOP | {
    "set-cookie",
    "set-cookie2",
    "clear-site-data",
    "strict-transport-security",
    "alt-svc",
    "content-length",
}
"""A provider must not set, clear or pin anything for the gateway's own origin."""

WHOLE_BODY = 64 * 1024
PERSISTENCE = frozenset({"keep-alive", "close"})
DOTS = frozenset({".", ".."})
SUSPICIOUS = ("%", "\\", "//", "/.", "/@")

Pairs = list[tuple[str, str]]
Body = bytes | StreamedBody
Send = Callable[[Pairs, Body], Awaitable[Response]]


class Kept:
    """The beginning of a body, for the log: one byte more than `limit`, so that a cut can be seen."""

    __slots__ = ("_room", "data")

    def __init__(self, limit: int) -> None:
        self.data = bytearray()
        self._room = limit + 1 if limit else 0

    def add(self, chunk: bytes) -> None:
        if self._room > 0:
            self.data += chunk[: self._room]
            self._room -= len(chunk)


class Seen:
    """What passed through."""

    __slots__ = ("headers", "request_body", "response_body", "status")

    def __init__(self, body_limit: int) -> None:
        self.status: int | None = None
        self.headers: Pairs = []
        self.request_body = Kept(body_limit)
        self.response_body = Kept(body_limit)


async def relay(request: web.Request, send: Send, seen: Seen, max_body: int) -> web.StreamResponse:
    """What goes wrong before the answer has begun is raised and becomes an answer of ours. Later the client's
    connection is cut as well, because a broken answer must not look like a whole one.
    """
    headers = forwardable(request.headers.items(), NOT_FOR_UPSTREAM, "sec-")
    async with await send(headers, await _body(request, seen.request_body, max_body)) as response:
        seen.status, seen.headers = response.status, response.headers
        headers = forwardable(response.headers, NOT_FOR_CLIENT, "access-control-")
        if response.is_complete and response.status not in BODILESS and request.method != "HEAD":
            return _in_one_piece(response, headers, seen.response_body)
        return await _as_it_comes(request, response, headers, seen.response_body)


def _in_one_piece(response: Response, headers: Pairs, kept: Kept) -> web.Response:
    """What is here already goes out in a single write."""
    whole = response.take()
    kept.add(whole)
    return web.Response(
        body=whole, status=response.status, reason=response.reason, headers=CIMultiDict(headers)
    )


async def _as_it_comes(
    request: web.Request, response: Response, headers: Pairs, kept: Kept
) -> web.StreamResponse:
    answer = web.StreamResponse(status=response.status, reason=response.reason, headers=CIMultiDict(headers))
    if (length := response.content_length) is not None:
        answer.content_length = length
    tap, write = kept.add, answer.write
    try:
        await answer.prepare(request)
        async for chunk in response:
            tap(chunk)
            await write(chunk)
    except BaseException:
        if request.transport is not None:
            request.transport.abort()
        raise
    return answer


async def _body(request: web.Request, kept: Kept, limit: int) -> Body:
    """Small bodies whole, so that they fit into one write and can be sent again; others as they come."""
    content = request.content
    length = request.content_length
    if content.is_eof() or (length is not None and length <= WHOLE_BODY):
        body = content.read_nowait() if content.is_eof() else await content.read()
        kept.add(body)
        return body
    return StreamedBody(_tapped(content.iter_any(), kept, limit), length)


async def _tapped(chunks: AsyncIterator[bytes], kept: Kept, limit: int) -> AsyncIterator[bytes]:
    """The guard knows a declared length; one that is not declared is counted here. 0 is no limit."""
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if 0 < limit < size:
            raise PayloadTooLarge(f"The body has more than {limit} bytes, which is the limit", limit=limit)
        kept.add(chunk)
        yield chunk


def forwardable(headers: Iterable[tuple[str, str]], dropped: frozenset[str], prefix: str) -> Pairs:
    """The headers that pass: none of `dropped`, none that begins so, none that `Connection` names."""
    passed: Pairs = []
    named: set[str] = set()
    for name, value in headers:
        if _passes(name, dropped, prefix):
            passed.append((name, value))
        elif name.lower() == "connection":
            named.update(token.strip().lower() for token in value.split(","))
    if named <= PERSISTENCE:
        return passed
    return [(name, value) for name, value in passed if name.lower() not in named]


@lru_cache(maxsize=1024)
def _passes(name: str, dropped: frozenset[str], prefix: str) -> bool:
    low = name.lower()
    return low not in dropped and not low.startswith(prefix)


def target_below(raw: str, prefix: str) -> str:
    """The request target behind `prefix`, byte for byte.

    Raises InvalidRequest for a path that another reader may take for another place than we do.
    """
    if not raw.startswith(f"{prefix}/"):
        raise InvalidRequest(f"The path must begin with {prefix}/, written plainly")
    target = raw[len(prefix) :]
    path = target.partition("?")[0]
    if not any(mark in path for mark in SUSPICIOUS):
        return target
    segments = unquote(path).replace("\\", "/").split("/")[1:]
    if "" in segments[:-1]:
        raise InvalidRequest(f"The path {path} has an empty segment (`//`); write it with single slashes")
    if not DOTS.isdisjoint(segments):
        raise InvalidRequest(f"The path {path} has a `.` or `..` segment; write it without")
    if path.startswith("/@"):
        raise InvalidRequest(f"The path {path} begins with `@`, which could be taken for a host")
    return target

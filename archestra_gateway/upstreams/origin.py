"""Where an HTTP upstream is, and how a request to it is spelled. Pure."""

from collections.abc import AsyncIterator, Iterable
from urllib.parse import urlsplit

import attrs

from archestra_gateway.errors import InvalidRequest

DEFAULT_PORTS = {"http": 80, "https": 443}

Headers = Iterable[tuple[str, str]]


@attrs.frozen(cache_hash=True)
class Origin:
    """One place to connect to; connections are pooled by it. `authority` is the value of `Host`.

    `socket` is the path of a Unix socket, for a program of ours that has no other.
    """

    scheme: str
    host: str
    port: int
    socket: str = ""
    authority: str = attrs.field(init=False, eq=False)

    @authority.default
    def _spell_authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


@attrs.frozen
class StreamedBody:
    """A request body that is sent as it comes; a `length` of None means that it is not known."""

    chunks: AsyncIterator[bytes]
    length: int | None = None


def split_url(url: str) -> tuple[Origin, str]:
    """An http(s) URL as its origin and its request target."""
    parts = urlsplit(url)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise InvalidRequest(f"{url} is not an http or https URL")
    origin = Origin(parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme])
    target = parts.path or "/"
    return origin, f"{target}?{parts.query}" if parts.query else target


def request_head(
    origin: Origin, method: str, target: str, headers: Headers, body: bytes | StreamedBody
) -> bytes:
    """The request line and the headers. `Host` and the framing are ours alone: `headers` must not have them.

    Raises InvalidRequest for anything that could end a line early (request smuggling).
    """
    lines = [f"{method} {target} HTTP/1.1", f"Host: {origin.authority}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if framing := _framing(method, body):
        lines.append(framing)
    head = "\r\n".join(lines)
    breaks = len(lines) - 1
    if head.count("\n") != breaks or head.count("\r") != breaks or "\0" in head or " " in target:
        raise InvalidRequest("A request line or header with a line break in it is not passed on")
    return head.encode("utf-8", "surrogateescape") + b"\r\n\r\n"


def _framing(method: str, body: bytes | StreamedBody) -> str:
    if isinstance(body, StreamedBody):
        return "Transfer-Encoding: chunked" if body.length is None else f"Content-Length: {body.length}"
    if body or method in {"POST", "PUT", "PATCH"}:
        return f"Content-Length: {len(body)}"
    return ""

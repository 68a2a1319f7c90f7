"""What a program asks of an HTTP proxy: the first lines of a connection, understood. Pure."""

import base64
import hmac
import re
from urllib.parse import urlsplit

import attrs

from archestra_gateway.schemas.permissions import Endpoint

REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) (\S{1,8000}) HTTP/1\.[01]")
OWN_HEADERS = (b"proxy-authorization", b"proxy-connection", b"connection", b"keep-alive")

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class NotProxyRequestError(Exception):
    pass


@attrs.frozen
class ProxyRequest:
    """`forwarded` is what the other end gets first; None after CONNECT, where the program speaks first."""

    endpoint: Endpoint
    forwarded: bytes | None


def parse(head: bytes) -> ProxyRequest:
    """Raises NotProxyRequestError."""
    first, *headers = head.rstrip(b"\r\n").split(b"\r\n")
    found = REQUEST_LINE.fullmatch(first)
    if found is None:
        raise NotProxyRequestError
    method, target = found[1], found[2].decode("latin-1")
    try:
        if method == b"CONNECT":
            return ProxyRequest(Endpoint.parse(target), None)
        parts = urlsplit(target)
        if parts.scheme != "http" or not parts.hostname:
            raise NotProxyRequestError
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        endpoint = Endpoint.parse(f"{host}:{parts.port or 80}")
    except ValueError as error:
        raise NotProxyRequestError from error
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kept = [header for header in headers if header.partition(b":")[0].strip().lower() not in OWN_HEADERS]
    lines = [method + b" " + path.encode("latin-1") + b" HTTP/1.1", *kept, b"Connection: close"]
    return ProxyRequest(endpoint, b"\r\n".join(lines) + b"\r\n\r\n")


def knows(head: bytes, password: str) -> bool:
    """Where the proxy listens on a shared loopback, only the server that was told the password may use it."""
    wanted = b"Basic " + base64.b64encode(f"mcp:{password}".encode())
    for header in head.split(b"\r\n")[1:]:
        name, _, value = header.partition(b":")
        if name.strip().lower() == b"proxy-authorization":
            return hmac.compare_digest(value.strip(), wanted)
    return False


def refusal(status: str, sentence: str) -> bytes:
    body = f"{sentence}\n".encode()
    head = (
        f"HTTP/1.1 {status}",
        "Content-Type: text/plain",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + body

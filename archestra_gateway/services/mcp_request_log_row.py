"""From what a producer saw of a call to the row that is stored: cut, cleaned and without secrets. Pure."""

import time
from codecs import getincrementaldecoder
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import attrs
import msgspec

from archestra_gateway import timestamp
from archestra_gateway.log import REDACTED, Redactor, is_credential
from archestra_gateway.services.mcp_request_log_stats import bucket_of

HEADERS_KEPT = 100
HEADER_CHARACTERS = 8192
NAME_CHARACTERS = 256
MESSAGE_CHARACTERS = 4096

Kind = Literal["mcp", "llm"]


@attrs.define(kw_only=True, eq=False)
class Entry:
    """One call, filled by its producer while it runs; nobody changes it once it is recorded.

    `timestamp` is `time.time()` at the start. A body may end one byte behind the limit: it was cut there.
    `error_message` says that the call failed, whatever the status code is; `client` is the external client
    that it comes from, where that is certain.
    """

    kind: Kind
    request_id: str
    timestamp: float
    server_name: str
    session_id: str | None = None
    mcp_session_id: str | None = None
    client: str | None = None
    client_info: Mapping[str, str | None] = attrs.field(factory=dict)
    method: str | None = None
    tool_name: str | None = None
    request_headers: Mapping[str, str] = attrs.field(factory=dict)
    request_body: bytes = b""
    response_headers: Mapping[str, str] = attrs.field(factory=dict)
    response_body: bytes = b""
    status_code: int | None = None
    error_message: str | None = None
    duration_ms: float = 0.0
    _began: float = attrs.field(factory=time.perf_counter, init=False)

    def end(self) -> None:
        """It took until now."""
        self.duration_ms = (time.perf_counter() - self._began) * 1000


def to_row(entry: Entry, redactor: Redactor, body_limit: int) -> dict[str, Any]:
    """The columns of `store.mcp_request_log`, headers as JSON text."""

    def name(value: str | None) -> str | None:
        if value is None:
            return None
        clean = redactor.name if len(value) <= NAME_CHARACTERS else redactor.text
        return clean(storable(value))[:NAME_CHARACTERS]

    client, message = entry.client_info, entry.error_message
    duration = max(entry.duration_ms, 0.0)  # the clock may have been set back meanwhile
    return {
        "request_id": entry.request_id,
        "kind": entry.kind,
        "timestamp": timestamp.from_seconds(entry.timestamp),
        "session_id": name(entry.session_id),
        "mcp_session_id": name(entry.mcp_session_id),
        "server_name": name(entry.server_name),
        "user_agent": name(client.get("user_agent")),
        "client_name": name(client.get("client_name")),
        "client_version": name(client.get("client_version")),
        "client_platform": name(client.get("client_platform")),
        "method": name(entry.method),
        "tool_name": name(entry.tool_name),
        "status_code": entry.status_code,
        "error_message": message and redactor.text(storable(message))[:MESSAGE_CHARACTERS],
        "duration_ms": duration,
        "duration_bucket": bucket_of(duration),
        "request_headers": headers_json(entry.request_headers, redactor),
        "request_body": body_text(entry.request_body, redactor, body_limit),
        "request_body_truncated": len(entry.request_body) > body_limit,
        "response_headers": headers_json(entry.response_headers, redactor),
        "response_body": body_text(entry.response_body, redactor, body_limit),
        "response_body_truncated": len(entry.response_body) > body_limit,
    }


def storable(text: str) -> str:
    """Text without lone surrogates (headers that are not UTF-8 have them), which SQLite and JSON refuse."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def headers_json(headers: Mapping[str, str], redactor: Redactor) -> str:
    """A header that came several times stands once, its values joined by commas (RFC 9110 §5.3)."""
    return redactor.text(_headers_json(tuple(headers.items()))) if headers else "{}"


@lru_cache(maxsize=256)
def _headers_json(headers: tuple[tuple[str, str], ...]) -> str:
    """Kept, because a client sends the same headers with every call."""
    kept: dict[str, str] = {}
    for number, (name, value) in enumerate(headers):
        if number == HEADERS_KEPT:
            kept["…"] = f"{len(headers) - number} more"
            break
        shown = REDACTED if is_credential(name) else storable(value)[:HEADER_CHARACTERS]
        kept[name] = f"{kept[name]}, {shown}" if name in kept else shown
    return msgspec.json.encode(kept).decode()


def body_text(body: bytes, redactor: Redactor, limit: int) -> str | None:
    """The first `limit` bytes as text; a character that the cut goes through is left out."""
    if not body or not limit:
        return None
    if len(body) <= limit:
        return redactor.text(body.decode("utf-8", "replace"))
    return redactor.cut_text(getincrementaldecoder("utf-8")("replace").decode(body[:limit]))

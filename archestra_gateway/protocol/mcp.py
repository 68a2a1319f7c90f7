"""MCP as the gateway itself speaks it: versions, names, and the few members it looks at."""

from typing import Any

import msgspec
from msgspec import Raw

from archestra_gateway import __version__
from archestra_gateway.protocol import jsonrpc
from archestra_gateway.protocol.jsonrpc import Message

SESSION_VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""The versions that begin with `initialize`, newest first."""

REQUEST_CANCELLED = -32800

INITIALIZE = "initialize"
INITIALIZED = "notifications/initialized"
CANCELLED = "notifications/cancelled"
PROGRESS = "notifications/progress"

TOOLS_CHANGED = "notifications/tools/list_changed"

FOR_EVERY_SESSION = frozenset(
    {
        TOOLS_CHANGED,
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
        "notifications/resources/updated",
    }
)
"""What a server says about itself, and not about one call."""

LOG_LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")

INITIALIZE_PARAMS = {
    "protocolVersion": SESSION_VERSIONS[0],
    "capabilities": {},
    "clientInfo": {"name": "archestra-gateway", "version": __version__},
}

VERSION_KEY = "io.modelcontextprotocol/protocolVersion"


class _Named(msgspec.Struct):
    name: Any = None


class _Meta(msgspec.Struct):
    meta: dict[str, Raw] = msgspec.field(name="_meta", default_factory=dict)


_named = msgspec.json.Decoder(_Named)
_meta = msgspec.json.Decoder(_Meta)
_text = msgspec.json.Decoder(str)


class UnsupportedVersion(jsonrpc.ProtocolError):
    """An era that begins without `initialize`; clients that know both fall back."""

    number = -32022


def method(message: Message) -> str:
    """The message's method; empty for an answer."""
    text = message.get("method")
    return "" if text is None else str(jsonrpc.value(text))


def tool_name(params: Raw | None) -> str | None:
    """`params.name`, where it is a string."""
    if params is None:
        return None
    try:
        name = _named.decode(params).name
    except (msgspec.DecodeError, RecursionError):
        name = member(params, "name")
    return name if isinstance(name, str) else None


def member(params: Raw | None, name: str) -> Any:
    """One member of an object, however strange its text; None when it is not there."""
    try:
        return jsonrpc.value(jsonrpc.decode(bytes(params or b"")).get(name))
    except jsonrpc.ProtocolError:
        return None


def meta(params: Raw | None) -> Message:
    """The members of `params._meta`."""
    if params is None or b'"_meta"' not in bytes(params):
        return {}
    try:
        return _meta.decode(params).meta
    except (msgspec.DecodeError, RecursionError):
        return members(members(params).get("_meta"))


def with_progress_token(params: Raw, token: int) -> Raw:
    """`params` with another `_meta.progressToken`, and not a byte else changed."""
    changed = members(params)
    changed["_meta"] = Raw(jsonrpc.encode({**members(changed.get("_meta")), "progressToken": token}))
    return Raw(jsonrpc.encode(changed))


def with_member(params: Raw | None, name: str, text: Raw) -> Raw:
    """`params` with one member set."""
    return Raw(jsonrpc.encode({**members(params), name: text}))


def progress_token(params: Raw | None) -> Raw | None:
    return members(params).get("progressToken")


def request_id(params: Raw | None) -> Raw | None:
    """Which request a `notifications/cancelled` means."""
    return members(params).get("requestId")


def members(text: Raw | None) -> Message:
    """The members of an object; none when it is something else."""
    try:
        return jsonrpc.decode(bytes(text or b""))
    except jsonrpc.ProtocolError:
        return {}

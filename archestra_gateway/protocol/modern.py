"""MCP of 2026-07-28, which knows no sessions: what every request carries, and every answer must. Pure."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

import attrs
from msgspec import Raw

from archestra_gateway import __version__
from archestra_gateway.protocol import jsonrpc, mcp
from archestra_gateway.protocol.jsonrpc import Message

VERSION = "2026-07-28"
SUPPORTED = (VERSION, *mcp.SESSION_VERSIONS)
"""Every version that the gateway speaks, newest first."""

PREFIX = "io.modelcontextprotocol/"
CAPABILITIES_KEY = PREFIX + "clientCapabilities"
CLIENT_INFO_KEY = PREFIX + "clientInfo"
SERVER_INFO_KEY = PREFIX + "serverInfo"
LOG_LEVEL_KEY = PREFIX + "logLevel"
SUBSCRIPTION_KEY = PREFIX + "subscriptionId"
ENVELOPE = (mcp.VERSION_KEY, CAPABILITIES_KEY, CLIENT_INFO_KEY, LOG_LEVEL_KEY)

DISCOVER = "server/discover"
LISTEN = "subscriptions/listen"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"

NAMED: Mapping[str, str] = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""Method → the parameter that `Mcp-Name` repeats."""

CACHEABLE = frozenset(
    {
        DISCOVER,
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "resources/read",
    }
)
REMOVED = frozenset(
    {mcp.INITIALIZE, "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"}
)

STATUS: Mapping[int, int] = {
    jsonrpc.PARSE_ERROR: 400,
    jsonrpc.INVALID_REQUEST: 400,
    jsonrpc.INVALID_PARAMS: 400,
    jsonrpc.METHOD_NOT_FOUND: 404,
    -32020: 400,
    -32021: 400,
    -32022: 400,
}
"""What an error's number is as an HTTP status; what is not named here is 200."""

SERVER_INFO = {"name": "archestra-gateway", "version": __version__}

_RESOURCE_NOT_FOUND = -32002
_ENCODED = re.compile(r"=\?base64\?(.*)\?=")


class HeaderMismatch(jsonrpc.ProtocolError):
    """A header says something else than the body."""

    number = -32020


class MissingCapability(jsonrpc.ProtocolError):
    """A server needs what the client did not declare."""

    number = -32021


class InvalidParams(jsonrpc.ProtocolError):
    number = jsonrpc.INVALID_PARAMS


@attrs.frozen
class Headers:
    """MCP-Protocol-Version, Mcp-Method and Mcp-Name, each as often as it was sent.

    `parameters` are those whose names begin with `mcp-param-`, in small letters.
    """

    version: tuple[str, ...] = ()
    method: tuple[str, ...] = ()
    name: tuple[str, ...] = ()
    parameters: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)


@attrs.frozen
class Envelope:
    """What a request says about its client."""

    capabilities: Mapping[str, Any]
    client_info: Any
    log_level: str | None = None


def is_modern(version_header: str | None, message: Message) -> bool:
    """Whether a message is of this era, or claims a version that nobody knows."""
    if version_header is not None:
        return version_header not in mcp.SESSION_VERSIONS
    return mcp.VERSION_KEY in mcp.meta(message.get("params"))


def check(headers: Headers, message: Message) -> Envelope:
    """Raises InvalidParams, HeaderMismatch or UnsupportedVersion."""
    meta = mcp.meta(message.get("params"))
    missing = [key for key in (mcp.VERSION_KEY, CAPABILITIES_KEY) if key not in meta]
    if missing:
        raise InvalidParams(f"`params._meta` lacks {' and '.join(missing)}", missing=missing)
    version = jsonrpc.value(meta[mcp.VERSION_KEY])
    _compare("MCP-Protocol-Version", headers.version, version)
    _compare("Mcp-Method", headers.method, mcp.method(message))
    _check_name(headers, message)
    check_version(version)
    capabilities, level = (jsonrpc.value(meta.get(key)) for key in (CAPABILITIES_KEY, LOG_LEVEL_KEY))
    if not isinstance(capabilities, dict):
        raise InvalidParams(f"`{CAPABILITIES_KEY}` must be an object")
    if level is not None and level not in mcp.LOG_LEVELS:
        raise InvalidParams(f"There is no log level {level}: it is one of {', '.join(mcp.LOG_LEVELS)}")
    return Envelope(capabilities, jsonrpc.value(meta.get(CLIENT_INFO_KEY)), level)


def check_version(version: Any) -> None:
    """Raises UnsupportedVersion."""
    if version != VERSION:
        raise mcp.UnsupportedVersion(
            f"MCP version {version} is not spoken here", supported=list(SUPPORTED), requested=version
        )


def result(method: str, outcome: Raw, server_info: Any = SERVER_INFO) -> Raw:
    """An old server's result as this era wants it; what is there already stays."""
    members = jsonrpc.decode(bytes(outcome))
    added: dict[str, Any] = {"resultType": "complete"}
    if method in CACHEABLE and jsonrpc.value(members.get("resultType")) != "input_required":
        added |= {"ttlMs": 0, "cacheScope": "private"}
    meta = {SERVER_INFO_KEY: server_info, **mcp.meta(outcome)}
    return Raw(jsonrpc.encode({**added, **members, "_meta": meta}))


def answer(message: Message, method: str, uri: Any = None, server_info: Any = SERVER_INFO) -> Message:
    """An old server's answer to `method` as this era wants it; `uri` is what was to be read."""
    if "result" in message:
        return {**message, "result": result(method, message["result"], server_info)}
    error = jsonrpc.value(message.get("error"))
    if isinstance(error, dict) and error.get("code") == _RESOURCE_NOT_FOUND:
        error = {**error, "code": jsonrpc.INVALID_PARAMS, "data": {"uri": uri}}
        return {**message, "error": jsonrpc.raw(error)}
    return message


def status(message: Message) -> int:
    """The HTTP status of an answer."""
    code = mcp.member(message.get("error"), "code") if "error" in message else None
    return STATUS.get(code, 200) if isinstance(code, int) else 200


def _check_name(headers: Headers, message: Message) -> None:
    parameter = NAMED.get(mcp.method(message))
    if parameter is None:
        return
    wanted = mcp.member(message.get("params"), parameter)
    if wanted is not None:
        _compare("Mcp-Name", tuple(map(plain_header, headers.name)), wanted)


def _compare(name: str, said: tuple[str | None, ...], wanted: Any) -> None:
    if said != (wanted,):
        raise HeaderMismatch(f"The header {name} does not say what the body says, once: {wanted!r}")


def plain_header(value: str) -> str | None:
    """A header's value, taken out of `=?base64?…?=`; None when that is not sound."""
    encoded = _ENCODED.fullmatch(value)
    if encoded is None:
        return value
    try:
        text = base64.b64decode(encoded[1], validate=True)
        return text.decode() if base64.b64encode(text).decode() == encoded[1] else None
    except (binascii.Error, UnicodeDecodeError):
        return None

"""The HTTP headers that MCP wants beside a message. Pure."""

import base64
import re

import attrs

from archestra_gateway.protocol import jsonrpc, mcp, modern
from archestra_gateway.protocol.jsonrpc import Message

SESSION_ID = "Mcp-Session-Id"
VERSION = "MCP-Protocol-Version"

_PLAIN = re.compile(r"[!-~]([ -~]*[!-~])?")


@attrs.frozen
class Session:
    """`initialize` is what the client said; `id` and `version` are what was answered."""

    initialize: bytes
    id: str | None
    version: str


def is_modern(message: Message) -> bool:
    """Whether it belongs to no session, as of 2026-07-28."""
    return mcp.VERSION_KEY in mcp.meta(message.get("params"))


def headers_for(message: Message, session: Session | None) -> dict[str, str]:
    if is_modern(message):
        return _modern(message)
    return {} if session is None else headers_in(session)


def headers_in(session: Session) -> dict[str, str]:
    identifier = {} if session.id is None else {SESSION_ID: session.id}
    return {VERSION: session.version, **identifier}


def _modern(message: Message) -> dict[str, str]:
    """Since 2026-07-28 headers repeat what the body says."""
    params, method = message.get("params"), mcp.method(message)
    headers = {
        VERSION: header_value(jsonrpc.value(mcp.meta(params)[mcp.VERSION_KEY])),
        "Mcp-Method": header_value(method),
    }
    name = mcp.member(params, modern.NAMED[method]) if method in modern.NAMED else None
    return headers if name is None else {**headers, "Mcp-Name": header_value(name)}


def header_value(said: object) -> str:
    """Plain where it can be, else encoded as MCP 2026-07-28 wants it."""
    text = str(said)
    if _PLAIN.fullmatch(text) and not text.startswith("=?base64?"):
        return text
    return f"=?base64?{base64.b64encode(text.encode(errors='replace')).decode()}?="

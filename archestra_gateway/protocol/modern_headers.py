"""The HTTP headers in which a client of 2026-07-28 repeats what the body says. Pure."""

import base64
import re

from archestra_gateway.protocol import jsonrpc, mcp, modern
from archestra_gateway.protocol.jsonrpc import Message

VERSION = "MCP-Protocol-Version"

_PLAIN = re.compile(r"[!-~]([ -~]*[!-~])?")


def is_modern(message: Message) -> bool:
    """Whether it belongs to no session, as of 2026-07-28."""
    return mcp.VERSION_KEY in mcp.meta(message.get("params"))


def standard(message: Message) -> dict[str, str]:
    """Those that every request has, and `Mcp-Name` where the method has one."""
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

"""Asking a live MCP server for its tools."""

from typing import Any

from msgspec import Raw

from archestra_gateway.errors import UpstreamError
from archestra_gateway.protocol import jsonrpc, mcp
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.upstream import Upstream

METHOD = "tools/list"
MOST_PAGES = 100


async def list_tools(upstream: Upstream) -> list[Raw]:
    """All pages of them, each in the server's own words."""
    tools: list[Raw] = []
    params: dict[str, Any] = {}
    for _ in range(MOST_PAGES):
        answer = await upstream.call(Call(jsonrpc.request(0, METHOD, params), is_own=True))
        page = mcp.members(answer.get("result"))
        try:
            tools += jsonrpc.elements(bytes(page.get("tools", b"")))
        except jsonrpc.ParseError as error:
            raise UpstreamError(f"`{METHOD}` was answered with {error_text(answer)}") from error
        cursor = jsonrpc.value(page.get("nextCursor"))
        if cursor is None:
            break
        params = {"cursor": cursor}
    return tools


def error_text(answer: jsonrpc.Message) -> str:
    """What a JSON-RPC error says to people."""
    error = jsonrpc.value(answer.get("error"))
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        return str(error["message"])
    return "no usable result"

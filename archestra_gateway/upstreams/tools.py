"""Asking a live MCP server for its tools."""

from typing import Any

from archestra_gateway.errors import UpstreamError
from archestra_gateway.protocol import jsonrpc
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.upstream import Upstream

METHOD = "tools/list"
MOST_PAGES = 100


async def list_tools(upstream: Upstream) -> list[dict[str, Any]]:
    """All pages of them."""
    tools: list[dict[str, Any]] = []
    cursor = None
    for _ in range(MOST_PAGES):
        params: dict[str, Any] = {} if cursor is None else {"cursor": cursor}
        answer = await upstream.call(Call(jsonrpc.request(0, METHOD, params), is_own=True))
        page = jsonrpc.value(answer.get("result"))
        if not isinstance(page, dict) or not isinstance(page.get("tools"), list):
            raise UpstreamError(f"`{METHOD}` was answered with {error_text(answer)}")
        tools += [tool for tool in page["tools"] if isinstance(tool, dict)]
        cursor = page.get("nextCursor")
        if cursor is None:
            break
    return tools


def error_text(answer: jsonrpc.Message) -> str:
    """What a JSON-RPC error says to people."""
    error = jsonrpc.value(answer.get("error"))
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        return str(error["message"])
    return "no usable result"

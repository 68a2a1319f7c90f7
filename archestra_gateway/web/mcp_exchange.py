"""From one posted MCP message to its answer, with the request log told whatever happens."""

from collections.abc import Awaitable
from typing import cast

from aiohttp import web
from multidict import CIMultiDictProxy

from archestra_gateway import keys
from archestra_gateway.protocol import jsonrpc
from archestra_gateway.protocol.modern import Headers
from archestra_gateway.protocol.parameter_headers import PREFIX
from archestra_gateway.services.mcp_proxy import Reply
from archestra_gateway.services.mcp_request_log import Entry, RequestLog
from archestra_gateway.web import envelope
from archestra_gateway.web.connection import Connection
from archestra_gateway.web.mcp_answer import SESSION_ID, McpAnswer

CLIENT_LEFT = 499


async def logged_exchange(
    request: web.Request, entry: Entry, text: bytes, answer: McpAnswer, receiving: Awaitable[Reply]
) -> web.StreamResponse:
    """`receiving` answers `text`, which the client sent, and says in `entry` what it was about.

    Within a session the client's leaving is no cancel (2025-11-25, Transports): it is seen through.
    """
    connection = cast(Connection, request.protocol)
    if SESSION_ID in request.headers:
        connection.on_leave = answer.close
    try:
        return await _exchange(request, entry, text, answer, receiving)
    finally:
        connection.on_leave = None
        answer.close()


async def _exchange(
    request: web.Request, entry: Entry, text: bytes, answer: McpAnswer, receiving: Awaitable[Reply]
) -> web.StreamResponse:
    reply = None
    try:
        reply = await receiving
    finally:
        encoded = record(request.app[keys.REQUEST_LOG], entry, text, reply)
    return await answer.finish(reply.message, encoded, status(reply), reply.session_id)


def record(request_log: RequestLog, entry: Entry, text: bytes, reply: Reply | None) -> bytes:
    """The reply as text; without one, its client did not wait for it."""
    kept = request_log.body_limit + 1
    encoded = b"" if reply is None or reply.message is None else jsonrpc.encode(reply.message)
    entry.request_body, entry.response_body = text[:kept], encoded[:kept]
    entry.status_code = CLIENT_LEFT if reply is None else status(reply)
    entry.end()
    request_log.record(entry)
    return encoded


def status(reply: Reply) -> int:
    """Many clients take any status but 200 for a broken session, so within one JSON-RPC alone tells."""
    if reply.message is None:
        return 202
    if reply.status is not None:
        return reply.status
    if reply.error is None or (reply.session_id is not None and reply.error.code.startswith("UPSTREAM_")):
        return 200
    return envelope.STATUS[reply.error.code]


def modern_headers(headers: CIMultiDictProxy[str]) -> Headers:
    def every(name: str) -> tuple[str, ...]:
        return tuple(headers.getall(name, ()))

    parameters = {name.lower() for name in headers if name.lower().startswith(PREFIX)}
    return Headers(
        version=every("MCP-Protocol-Version"),
        method=every("Mcp-Method"),
        name=every("Mcp-Name"),
        parameters={name: every(name) for name in parameters},
    )

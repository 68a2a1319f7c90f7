"""`/mcp_proxy/{server}`."""

import time

from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.errors import InvalidRequest
from archestra_gateway.protocol import jsonrpc
from archestra_gateway.services.mcp_proxy import Incoming, Reply
from archestra_gateway.services.mcp_request_log import Entry
from archestra_gateway.web import body, envelope, logged
from archestra_gateway.web.mcp_answer import MESSAGE, SESSION_ID, McpAnswer
from archestra_gateway.web.sse import EventStream

VERSION = "Mcp-Protocol-Version"
CLIENT_LEFT = 499


async def post(request: web.Request) -> web.StreamResponse:
    """One message of a client. One within a session is seen through though the client leaves."""
    entry = logged.begin(request, "mcp", request.match_info["server"])
    text = await body.raw(request, request.app[keys.CONFIG].mcp.max_body)
    answer = McpAnswer(request)
    exchange = _exchange(request, entry, text, answer)
    if SESSION_ID not in request.headers:
        return await exchange
    try:
        return await request.app[keys.MCP_PROXY].see_through(exchange)
    finally:
        answer.close()


async def get(request: web.Request) -> web.StreamResponse:
    """What a session's server says unasked."""
    session_id = request.headers.get(SESSION_ID)
    if session_id is None:
        raise InvalidRequest(
            f"A stream belongs to a session: send the {SESSION_ID} header that `initialize` gave"
        )
    session = request.app[keys.MCP_PROXY].session(request.match_info["server"], session_id)
    keep_alive = request.app[keys.CONFIG].mcp.keep_alive
    headers = {SESSION_ID: session_id}
    async with EventStream(request, keep_alive=keep_alive, headers=headers) as stream:
        async for message in session.messages():
            await stream.send(jsonrpc.line(message).rstrip(), MESSAGE)
    return stream.response


async def delete(request: web.Request) -> web.StreamResponse:
    """The end of a session."""
    session_id = request.headers.get(SESSION_ID)
    if session_id is None:
        raise InvalidRequest(f"Which session? Send its {SESSION_ID} header")
    await request.app[keys.MCP_PROXY].end_session(request.match_info["server"], session_id)
    return web.Response(status=204)


async def _exchange(request: web.Request, entry: Entry, text: bytes, answer: McpAnswer) -> web.StreamResponse:
    """From message to answer, with the log told whatever happens."""
    began = time.perf_counter()
    request_log = request.app[keys.REQUEST_LOG]
    kept = request_log.body_limit + 1
    entry.request_body = text[:kept]
    entry.status_code = CLIENT_LEFT
    try:
        reply = await request.app[keys.MCP_PROXY].receive(
            Incoming(
                server=entry.server_name,
                session_id=request.headers.get(SESSION_ID),
                version=request.headers.get(VERSION),
                text=text,
                listener=answer.push if answer.can_stream else None,
                entry=entry,
            )
        )
        entry.status_code = _status(reply)
        encoded = b"" if reply.message is None else jsonrpc.encode(reply.message)
        entry.response_body = encoded[:kept]
    finally:
        entry.duration_ms = (time.perf_counter() - began) * 1000
        request_log.record(entry)
    return await answer.finish(reply.message, encoded, entry.status_code, reply.session_id)


def _status(reply: Reply) -> int:
    """Many clients take any status but 200 for a broken session, so within one JSON-RPC alone tells."""
    if reply.message is None:
        return 202
    if reply.error is None or (reply.session_id is not None and reply.error.code.startswith("UPSTREAM_")):
        return 200
    return envelope.STATUS[reply.error.code]

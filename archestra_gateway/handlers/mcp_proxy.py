"""`/mcp_proxy/{server}`."""

from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.errors import InvalidRequest
from archestra_gateway.protocol import jsonrpc
from archestra_gateway.services.mcp_proxy import Incoming
from archestra_gateway.services.mcp_request_log import Entry
from archestra_gateway.web import body, logged, mcp_shortcut
from archestra_gateway.web.mcp_answer import MESSAGE, SESSION_ID, McpAnswer
from archestra_gateway.web.mcp_exchange import logged_exchange, modern_headers
from archestra_gateway.web.sse import EventStream


async def post(request: web.Request) -> web.StreamResponse:
    """One message of a client. One within a session is seen through though the client leaves."""
    server = request.match_info["server"]
    call = mcp_shortcut.found(request)
    entry = logged.begin(request, "mcp", server) if call is None else call.entry
    text = await body.raw(request, request.app[keys.CONFIG].mcp.max_body)
    answer = McpAnswer(request)
    incoming = _incoming(request, entry, text, answer)
    if call is not None:
        incoming = call.going_on(incoming)
    mcp_shortcut.prepare(request, server)
    receiving = request.app[keys.MCP_PROXY].receive(incoming)
    return await logged_exchange(request, entry, text, answer, receiving)


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


def _incoming(request: web.Request, entry: Entry, text: bytes, answer: McpAnswer) -> Incoming:
    return Incoming(
        server=entry.server_name,
        session_id=request.headers.get(SESSION_ID),
        headers=modern_headers(request.headers),
        text=text,
        listener=answer.push if answer.can_stream else None,
        entry=entry,
    )

"""`/mcp`."""

from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.errors import InvalidRequest
from archestra_gateway.protocol import jsonrpc
from archestra_gateway.services.mcp_gateway import Arrival
from archestra_gateway.services.mcp_request_log import Entry
from archestra_gateway.web import body, guard, logged
from archestra_gateway.web.mcp_answer import MESSAGE, SESSION_ID, McpAnswer
from archestra_gateway.web.mcp_exchange import logged_exchange, modern_headers
from archestra_gateway.web.sse import EventStream


async def post(request: web.Request) -> web.StreamResponse:
    """One message of a client. One within a session is seen through though the client leaves."""
    entry = logged.begin(request, "mcp", "")
    text = await body.raw(request, request.app[keys.CONFIG].mcp.max_body)
    answer = McpAnswer(request)
    gateway = request.app[keys.MCP_GATEWAY]
    receiving = gateway.receive(_arrival(request, entry, text, answer))
    return await logged_exchange(request, entry, text, answer, receiving)


async def get(request: web.Request) -> web.StreamResponse:
    """What the servers of a session say unasked."""
    entry = logged.begin(request, "mcp", "")
    session = await request.app[keys.MCP_GATEWAY].session(_session_id(request), entry)
    keep_alive = request.app[keys.CONFIG].mcp.keep_alive
    async with EventStream(request, keep_alive=keep_alive, headers={SESSION_ID: session.id}) as stream:
        async for message in session.outbox.messages():
            await stream.send(jsonrpc.line(message).rstrip(), MESSAGE)
    return stream.response


async def delete(request: web.Request) -> web.StreamResponse:
    """The end of a session."""
    await request.app[keys.MCP_GATEWAY].end_session(_session_id(request))
    return web.Response(status=204)


def _arrival(request: web.Request, entry: Entry, text: bytes, answer: McpAnswer) -> Arrival:
    return Arrival(
        session_id=request.headers.get(SESSION_ID),
        headers=modern_headers(request.headers),
        text=text,
        listener=answer.push if answer.can_stream else None,
        entry=entry,
        may_administer=guard.may_administer(request),
    )


def _session_id(request: web.Request) -> str:
    session_id = request.headers.get(SESSION_ID)
    if session_id is None:
        raise InvalidRequest(f"Which session? Send the {SESSION_ID} header that `initialize` gave")
    return session_id

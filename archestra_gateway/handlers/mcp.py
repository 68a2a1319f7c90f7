"""`/mcp`."""

from aiohttp import hdrs, web

from archestra_gateway import keys
from archestra_gateway.errors import InvalidRequest
from archestra_gateway.protocol import jsonrpc
from archestra_gateway.protocol.modern import Headers
from archestra_gateway.services.mcp_gateway import Arrival
from archestra_gateway.services.mcp_request_log import Entry
from archestra_gateway.services.mcp_view import Visibility
from archestra_gateway.web import body, guard, logged
from archestra_gateway.web.mcp_answer import MESSAGE, SESSION_ID, McpAnswer
from archestra_gateway.web.mcp_exchange import logged_exchange
from archestra_gateway.web.sse import EventStream


async def post(request: web.Request) -> web.StreamResponse:
    """One message of a client. One within a session is seen through though the client leaves."""
    entry = logged.begin(request, "mcp", "")
    text = await body.raw(request, request.app[keys.CONFIG].mcp.max_body)
    answer = McpAnswer(request)
    gateway = request.app[keys.MCP_GATEWAY]
    exchange = logged_exchange(
        request, entry, text, answer, gateway.receive(_arrival(request, entry, text, answer))
    )
    if SESSION_ID not in request.headers:
        return await exchange
    try:
        return await gateway.see_through(exchange)
    finally:
        answer.close()


async def get(request: web.Request) -> web.StreamResponse:
    """What the servers of a session say unasked."""
    session = await request.app[keys.MCP_GATEWAY].session(_session_id(request))
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
    headers = request.headers
    names = ("MCP-Protocol-Version", "Mcp-Method", "Mcp-Name")
    return Arrival(
        session_id=headers.get(SESSION_ID),
        headers=Headers(*(tuple(headers.getall(name, ())) for name in names)),
        text=text,
        listener=answer.push if answer.can_stream else None,
        entry=entry,
        visibility=_visibility(request),
        may_administer=guard.may_administer(request),
    )


def _visibility(request: web.Request) -> Visibility:
    """What the client may see that its token or its header X-Client-Name names."""
    clients = request.app[keys.EXTERNAL_MCP_CLIENTS]
    found = clients.identify(
        guard.bearer(request.headers.get(hdrs.AUTHORIZATION, "")), request.headers.get("X-Client-Name")
    )
    if found is None:
        return Visibility()
    name, config = found
    return Visibility(
        name,
        None if config.servers is None else frozenset(config.servers),
        None if config.tools is None else frozenset(config.tools),
    )


def _session_id(request: web.Request) -> str:
    session_id = request.headers.get(SESSION_ID)
    if session_id is None:
        raise InvalidRequest(f"Which session? Send the {SESSION_ID} header that `initialize` gave")
    return session_id

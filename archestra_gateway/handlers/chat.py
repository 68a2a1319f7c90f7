"""`/api/agent/chat`: the chats that there are."""

from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.schemas.chat import ChatQuery, UpdateChat
from archestra_gateway.web import body, envelope


async def list_all(request: web.Request) -> web.StreamResponse:
    wanted = body.query(request, ChatQuery)
    return envelope.json(await request.app[keys.CHATS].list_page(wanted))


async def get(request: web.Request) -> web.StreamResponse:
    return envelope.json(await request.app[keys.CHATS].get(request.match_info["id"]))


async def update(request: web.Request) -> web.StreamResponse:
    wanted = await body.read(request, UpdateChat)
    return envelope.json(await request.app[keys.CHATS].update(request.match_info["id"], wanted))


async def delete(request: web.Request) -> web.StreamResponse:
    """An answer that is still coming is stopped first."""
    await request.app[keys.AGENT].delete_chat(request.match_info["id"])
    return web.Response(status=204)

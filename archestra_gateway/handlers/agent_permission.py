"""`/api/agent/permission`: which tools may be called without asking, and which not at all."""

import attrs
from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.agent.permission import Permission
from archestra_gateway.schemas.agent import PermissionKey, SetPermission, ToolPermission
from archestra_gateway.web import body, envelope


async def list_all(request: web.Request) -> web.StreamResponse:
    given = request.app[keys.AGENT].approvals.permissions()
    return envelope.json([_shown(permission) for permission in given])


async def set_one(request: web.Request) -> web.StreamResponse:
    wanted = await body.read(request, SetPermission)
    return envelope.json(_shown(await request.app[keys.AGENT].approvals.set(wanted)))


async def delete(request: web.Request) -> web.StreamResponse:
    await request.app[keys.AGENT].approvals.delete(body.query(request, PermissionKey))
    return web.Response(status=204)


def _shown(given: Permission) -> dict[str, str]:
    shown = ToolPermission(
        server_name=given.server_name,
        tool_name=given.tool_name,
        chat_id=given.chat_id,
        decision=given.decision,
    )
    return attrs.asdict(shown)

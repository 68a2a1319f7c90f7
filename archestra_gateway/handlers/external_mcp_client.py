"""`/api/external_mcp_client`."""

from collections.abc import Sequence

import attrs
from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.schemas.external_mcp_client import (
    ConnectExternalMcpClient,
    CreateExternalMcpClient,
    ExternalMcpClient,
    ImportServers,
    PreviewExternalMcpClient,
    RestoreExternalMcpClient,
    UpdateExternalMcpClient,
)
from archestra_gateway.web import body, envelope


async def list_all(request: web.Request) -> web.StreamResponse:
    return _list(await request.app[keys.EXTERNAL_MCP_CLIENTS].list_all())


async def create(request: web.Request) -> web.StreamResponse:
    wanted = await body.read(request, CreateExternalMcpClient)
    return _answer(await request.app[keys.EXTERNAL_MCP_CLIENTS].create(wanted), status=201)


async def get(request: web.Request) -> web.StreamResponse:
    return _answer(await request.app[keys.EXTERNAL_MCP_CLIENTS].get(_name(request)))


async def update(request: web.Request) -> web.StreamResponse:
    wanted = await body.read(request, UpdateExternalMcpClient)
    return _answer(await request.app[keys.EXTERNAL_MCP_CLIENTS].update(_name(request), wanted.config))


async def delete(request: web.Request) -> web.StreamResponse:
    await request.app[keys.EXTERNAL_MCP_CLIENTS].delete(_name(request))
    return web.Response(status=204)


async def supported(request: web.Request) -> web.StreamResponse:
    return envelope.json(attrs.asdict(await request.app[keys.CLIENT_FILES].supported()))


async def connect(request: web.Request) -> web.StreamResponse:
    wanted = await body.read(request, ConnectExternalMcpClient)
    clients = request.app[keys.EXTERNAL_MCP_CLIENTS]
    return _answer(await clients.connect(wanted.client_name, wanted.config))


async def disconnect(request: web.Request) -> web.StreamResponse:
    await request.app[keys.EXTERNAL_MCP_CLIENTS].disconnect(_name(request))
    return web.Response(status=204)


async def preview(request: web.Request) -> web.StreamResponse:
    wanted = await body.read(request, PreviewExternalMcpClient)
    return envelope.json(attrs.asdict(await request.app[keys.CLIENT_FILES].preview(wanted)))


async def backups(request: web.Request) -> web.StreamResponse:
    return _list(request.app[keys.CLIENT_FILES].backups(_name(request)))


async def restore(request: web.Request) -> web.StreamResponse:
    wanted = await body.read(request, RestoreExternalMcpClient)
    return _answer(await request.app[keys.EXTERNAL_MCP_CLIENTS].restore(_name(request), wanted.backup))


async def servers(request: web.Request) -> web.StreamResponse:
    return _list(await request.app[keys.CLIENT_FILES].servers(_name(request)))


async def bring_in(request: web.Request) -> web.StreamResponse:
    wanted = await body.read(request, ImportServers)
    return envelope.json(attrs.asdict(await request.app[keys.CLIENT_FILES].bring_in(_name(request), wanted)))


def _name(request: web.Request) -> str:
    return request.match_info["client_name"]


def _answer(client: ExternalMcpClient, status: int = 200) -> web.Response:
    return envelope.json(attrs.asdict(client), status=status)


def _list(items: Sequence[attrs.AttrsInstance]) -> web.Response:
    return envelope.json([attrs.asdict(item) for item in items])

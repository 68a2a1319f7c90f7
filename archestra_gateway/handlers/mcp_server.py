"""`/api/mcp_server`."""

import attrs
import msgspec
from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.schemas.mcp_server import (
    AllowTools,
    CreateMcpServer,
    FollowLogs,
    McpServer,
    UpdateMcpServer,
)
from archestra_gateway.schemas.mcp_tool_pin import AcceptTools
from archestra_gateway.web import body, envelope
from archestra_gateway.web.sse import EventStream


async def list_all(request: web.Request) -> web.StreamResponse:
    return envelope.json([attrs.asdict(server) for server in request.app[keys.MCP_SERVERS].list_all()])


async def create(request: web.Request) -> web.StreamResponse:
    wanted = await body.read(request, CreateMcpServer)
    return _answer(await request.app[keys.MCP_SERVERS].create(wanted), status=201)


async def get(request: web.Request) -> web.StreamResponse:
    return _answer(request.app[keys.MCP_SERVERS].get(request.match_info["name"]))


async def update(request: web.Request) -> web.StreamResponse:
    wanted = await body.read(request, UpdateMcpServer)
    return _answer(await request.app[keys.MCP_SERVERS].update(request.match_info["name"], wanted))


async def delete(request: web.Request) -> web.StreamResponse:
    await request.app[keys.MCP_SERVERS].delete(request.match_info["name"])
    return web.Response(status=204)


async def start(request: web.Request) -> web.StreamResponse:
    return _answer(await request.app[keys.MCP_SERVERS].start(request.match_info["name"]))


async def stop(request: web.Request) -> web.StreamResponse:
    return _answer(await request.app[keys.MCP_SERVERS].stop(request.match_info["name"]))


async def restart(request: web.Request) -> web.StreamResponse:
    return _answer(await request.app[keys.MCP_SERVERS].restart(request.match_info["name"]))


async def tools(request: web.Request) -> web.StreamResponse:
    """As the server describes them, unknown members included, and what we know of each."""
    return envelope.json(await request.app[keys.MCP_SERVER_TOOLS].list_all(request.match_info["name"]))


async def allow_tools(request: web.Request) -> web.StreamResponse:
    """Which of them /mcp offers."""
    name = request.match_info["name"]
    wanted = await body.read(request, AllowTools)
    tools = request.app[keys.MCP_SERVER_TOOLS]
    await tools.allow(name, wanted.allowed)
    return envelope.json(await tools.list_all(name))


async def tool_changes(request: web.Request) -> web.StreamResponse:
    """What is held back, and why."""
    return envelope.json(request.app[keys.TOOL_PINS].changes(request.match_info["name"]))


async def accept_tools(request: web.Request) -> web.StreamResponse:
    """Answers with what is still held back."""
    wanted = await body.read(request, AcceptTools)
    name = request.match_info["name"]
    return envelope.json(await request.app[keys.TOOL_PINS].accept(name, wanted.tools, wanted.revision))


async def denials(request: web.Request) -> web.StreamResponse:
    return envelope.json(attrs.asdict(request.app[keys.MCP_SERVERS].denials(request.match_info["name"])))


async def learn(request: web.Request) -> web.StreamResponse:
    return envelope.json(attrs.asdict(await request.app[keys.MCP_SERVERS].learn(request.match_info["name"])))


async def logs(request: web.Request) -> web.StreamResponse:
    """The last lines of stderr; with `?follow=1` a stream of them and of those that come."""
    servers = request.app[keys.MCP_SERVERS]
    name = request.match_info["name"]
    lines = servers.logs(name)
    if not body.query(request, FollowLogs).follow:
        return envelope.json({"lines": [attrs.asdict(line) for line in lines]})
    async with EventStream(request) as stream:
        async for line in servers.follow_logs(name):
            await stream.send(msgspec.json.encode(line))
    return stream.response


def _answer(server: McpServer, status: int = 200) -> web.Response:
    return envelope.json(attrs.asdict(server), status=status)

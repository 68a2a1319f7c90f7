"""`/api/mcp_server/{name}/install`."""

import attrs
import msgspec
from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.schemas.mcp_server_install import (
    FollowInstall,
    McpServerInstall,
    PreviewUpdate,
    UpdateInstall,
)
from archestra_gateway.web import body, envelope
from archestra_gateway.web.sse import EventStream


async def get(request: web.Request) -> web.StreamResponse:
    """What is installed; with `?follow=1` a stream: `step`, `progress` and `line`, then `done` or `error`."""
    installs, name = request.app[keys.MCP_SERVER_INSTALLS], request.match_info["name"]
    if not body.query(request, FollowInstall).follow:
        return _answer(await installs.get(name))
    job = installs.job(name)
    async with EventStream(request) as stream:
        if job is not None:
            async for note in installs.follow(job):
                await stream.send(msgspec.json.encode(note.data), note.kind)
        await stream.send(msgspec.json.encode(attrs.asdict(await installs.result(name))), "done")
    return stream.response


async def start(request: web.Request) -> web.StreamResponse:
    return _answer(await request.app[keys.MCP_SERVER_INSTALLS].start(request.match_info["name"]), 202)


async def cancel(request: web.Request) -> web.StreamResponse:
    await request.app[keys.MCP_SERVER_INSTALLS].cancel(request.match_info["name"])
    return web.Response(status=204)


async def preview(request: web.Request) -> web.StreamResponse:
    installs, with_tools = request.app[keys.MCP_SERVER_INSTALLS], body.query(request, PreviewUpdate).tools
    shown = await installs.preview(request.match_info["name"], with_tools=with_tools)
    return envelope.json(attrs.asdict(shown))


async def update(request: web.Request) -> web.StreamResponse:
    wanted = await body.read(request, UpdateInstall)
    installs = request.app[keys.MCP_SERVER_INSTALLS]
    return _answer(await installs.update(request.match_info["name"], wanted.plan), 202)


def _answer(shown: McpServerInstall, status: int = 200) -> web.Response:
    return envelope.json(attrs.asdict(shown), status=status)

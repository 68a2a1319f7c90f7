"""The gateway's own state."""

from typing import cast

from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.web import envelope
from archestra_gateway.web.connection import Connection


async def health(request: web.Request) -> web.StreamResponse:
    return envelope.json({"status": "ok"})


async def ready(request: web.Request) -> web.StreamResponse:
    if request.app[keys.STOPPING].is_set():
        raise UpstreamUnavailable("The gateway is stopping")
    await request.app[keys.STATUS].check()
    return envelope.json({"status": "ok"})


async def get(request: web.Request) -> web.StreamResponse:
    connection = cast(Connection, request.protocol)
    return envelope.json(await request.app[keys.STATUS].report(connection.listening()))

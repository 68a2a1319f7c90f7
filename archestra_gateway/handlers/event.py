"""`/api/events`."""

import msgspec
from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.web.sse import EventStream


async def stream(request: web.Request) -> web.StreamResponse:
    """What happens from now on."""
    events = request.app[keys.EVENTS].watch()
    async with EventStream(request) as stream:
        await stream.comment("watching")
        async for event in events:
            await stream.send(msgspec.json.encode(event.data), event.kind)
    return stream.response

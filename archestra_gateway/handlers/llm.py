"""`/llm/{provider}/{path}`: a provider's own API under a prefix."""

from functools import partial

from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.web import relayed, reverse


async def relay(request: web.Request) -> web.StreamResponse:
    provider = request.match_info["provider"]
    target = reverse.target_below(request.raw_path, f"/llm/{provider}")
    send = partial(request.app[keys.LLM].send, provider, request.method, target)
    max_body = request.app[keys.CONFIG].llm.max_body
    with relayed.recorded(request, provider, target) as seen:
        return await reverse.relay(request, send, seen, max_body)

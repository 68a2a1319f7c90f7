"""`/api/llm_provider`."""

import attrs
from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.schemas.llm_provider import CreateLlmProvider, UpdateLlmProvider
from archestra_gateway.web import body, envelope


async def list_all(request: web.Request) -> web.StreamResponse:
    providers = request.app[keys.LLM_PROVIDERS].list_all()
    return envelope.json([attrs.asdict(provider) for provider in providers])


async def create(request: web.Request) -> web.StreamResponse:
    wanted = await body.read(request, CreateLlmProvider)
    provider = await request.app[keys.LLM_PROVIDERS].create(wanted)
    return envelope.json(attrs.asdict(provider), status=201)


async def get(request: web.Request) -> web.StreamResponse:
    provider = request.app[keys.LLM_PROVIDERS].get(request.match_info["name"])
    return envelope.json(attrs.asdict(provider.shown()))


async def update(request: web.Request) -> web.StreamResponse:
    wanted = await body.read(request, UpdateLlmProvider)
    provider = await request.app[keys.LLM_PROVIDERS].update(request.match_info["name"], wanted)
    return envelope.json(attrs.asdict(provider))


async def delete(request: web.Request) -> web.StreamResponse:
    await request.app[keys.LLM_PROVIDERS].delete(request.match_info["name"])
    return web.Response(status=204)

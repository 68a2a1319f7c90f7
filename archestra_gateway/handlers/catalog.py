"""`/api/mcp_server/catalog` and `/api/mcp_server/import`."""

from collections.abc import AsyncIterator

import attrs
from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.errors import PayloadTooLarge
from archestra_gateway.schemas.catalog import (
    CatalogQuery,
    ImportMcpServers,
    Installation,
    InstallMcpServer,
    VariantQuery,
)
from archestra_gateway.web import body, envelope


async def list_all(request: web.Request) -> web.StreamResponse:
    page = await request.app[keys.CATALOG].list_page(body.query(request, CatalogQuery))
    return envelope.json(attrs.asdict(page))


async def get(request: web.Request) -> web.StreamResponse:
    variant = body.query(request, VariantQuery).variant
    server = await request.app[keys.CATALOG].get(request.match_info["id"], variant)
    return envelope.json(attrs.asdict(server))


async def refresh(request: web.Request) -> web.StreamResponse:
    """Answers when everything new is here."""
    return envelope.json(attrs.asdict(await request.app[keys.CATALOG].refresh()))


async def install(request: web.Request) -> web.StreamResponse:
    wanted = await body.read(request, InstallMcpServer)
    return _answer(await request.app[keys.INSTALLER].install(wanted))


async def import_config(request: web.Request) -> web.StreamResponse:
    wanted = await body.read(request, ImportMcpServers)
    return _answer(await request.app[keys.INSTALLER].import_config(wanted))


async def upload(request: web.Request) -> web.StreamResponse:
    """The body is the file itself; the answer's `bundle` is what `mcp_server.import_config` takes."""
    bundle = await request.app[keys.BUNDLES].take(_pieces(request))
    return _answer(await request.app[keys.INSTALLER].preview_bundle(bundle))


async def _pieces(request: web.Request) -> AsyncIterator[bytes]:
    limit, size = request.app[keys.CONFIG].catalog.max_bundle, 0
    async for piece in request.content.iter_any():
        size += len(piece)
        if size > limit:
            raise PayloadTooLarge(f"The bundle is larger than the {limit} bytes that are taken", limit=limit)
        yield piece


def _answer(installation: Installation) -> web.Response:
    return envelope.json(attrs.asdict(installation))

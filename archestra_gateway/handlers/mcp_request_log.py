"""The request log over HTTP."""

from typing import cast

import attrs
from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.schemas.mcp_request_log import ClearLog, LogQuery, StatsQuery
from archestra_gateway.store.mcp_request_log import Filters
from archestra_gateway.web import body, envelope


async def list_all(request: web.Request) -> web.StreamResponse:
    wanted = body.query(request, LogQuery)
    page = await request.app[keys.REQUEST_LOG].list_page(
        _filters(wanted), wanted.page_size, page=wanted.page, cursor=wanted.cursor
    )
    return envelope.json(page)


async def get(request: web.Request) -> web.StreamResponse:
    return envelope.json(await request.app[keys.REQUEST_LOG].get(request.match_info["request_id"]))


async def stats(request: web.Request) -> web.StreamResponse:
    wanted = body.query(request, StatsQuery)
    return envelope.json(await request.app[keys.REQUEST_LOG].stats(_filters(wanted)))


async def delete(request: web.Request) -> web.StreamResponse:
    wanted = body.query(request, ClearLog)
    return envelope.json({"deleted": await request.app[keys.REQUEST_LOG].delete(wanted.before)})


def _filters(query: StatsQuery) -> Filters:
    asked = {name: getattr(query, name) for name in attrs.fields_dict(StatsQuery)}
    return cast(Filters, {name: value for name, value in asked.items() if value is not None})

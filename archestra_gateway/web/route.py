"""One row of the HTTP surface, how rows become aiohttp routes, and how a request finds its row again."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal

import attrs
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

Carrier = Literal["json", "chat", "file", "jsonrpc", "llm"]
"""How an error travels, and what a body must be: `json` = our REST envelope and JSON bodies; `chat` = the
same with bodies that may hold files; `file` = the same with a body that is a file; `jsonrpc` = JSON bodies,
errors as JSON-RPC with the envelope in `data`; `llm` = any body, our envelope only when the gateway itself
failed."""


@attrs.frozen(eq=False)
class Route:
    """`operation` is `<tag>.<verb>`; `takes`, `query`, `gives` are attrs classes (or `list[...]` of one)."""

    method: str
    path: str
    handler: Handler
    operation: str
    summary: str = ""
    takes: type | None = None
    query: type | None = None
    gives: Any = None
    status: int = 200
    media_type: str = "application/json"
    administration: bool = False
    carrier: Carrier = "json"


_ROWS: web.AppKey[dict[web.AbstractRoute, Route]] = web.AppKey("ROWS", dict)


def install(app: web.Application, routes: Iterable[Route]) -> None:
    """Add every row to the router; rows with one path share a resource, so that 405 can name them all."""
    rows: dict[web.AbstractRoute, Route] = {}
    resources: dict[str, web.Resource] = {}
    for row in routes:
        resource = resources.get(row.path) or resources.setdefault(
            row.path, app.router.add_resource(row.path)
        )
        for method in _methods(row):
            rows[resource.add_route(method, row.handler, expect_handler=_wait_for_the_guard)] = row
    app[_ROWS] = rows


def of(request: web.Request) -> Route | None:
    """The row that answers the request; None when there is none (404, 405)."""
    return request.app[_ROWS].get(request.match_info.route)


def _methods(row: Route) -> tuple[str, ...]:
    """HEAD comes with every GET of our own (RFC 9110 §9.1); a stream has no end that HEAD could wait for."""
    readable = row.method == "GET" and row.carrier == "json" and row.media_type != "text/event-stream"
    return ("GET", "HEAD") if readable else (row.method,)


async def _wait_for_the_guard(request: web.Request) -> None:
    """aiohttp says `100 Continue` before any middleware runs; here the guard says it."""

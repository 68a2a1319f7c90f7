"""The OpenAPI document, and our page around the installed swagger-ui to read it and try it: no CDN."""

import asyncio
import functools
from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path

from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.errors import NotFound
from archestra_gateway.web import compress

OURS = Path(__file__).parent.parent / "docs"
TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
}
POLICY: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}


async def openapi(request: web.Request) -> web.Response:
    """The OpenAPI 3.1 document of this API."""
    body = request.app[keys.OPENAPI]()
    return compress.static(request, body, "application/json", compress.etag(body))


async def page(request: web.Request) -> web.Response:
    """A page that shows this API and lets you try it."""
    return await _static(request, "index.html")


async def asset(request: web.Request) -> web.Response:
    """A file of the documentation's page."""
    return await _static(request, request.match_info["asset"])


async def _static(request: web.Request, name: str) -> web.Response:
    path = _files().get(name)
    if path is None:
        raise NotFound(f"The documentation has no file {name}")
    body, tag = await asyncio.to_thread(_content, path)
    answer = compress.static(request, body, TYPES[path.suffix], tag)
    answer.headers.update(POLICY)
    return answer


@functools.cache
def _files() -> Mapping[str, Path]:
    """The allow-list. The package is found and not imported: importing it would load a template engine."""
    theirs = Path(str(distribution("swagger-ui-py").locate_file("swagger_ui/static")))
    return {
        **{name: OURS / name for name in ("index.html", "page.css", "page.js")},
        **{name: theirs / name for name in ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")},
    }


@functools.cache
def _content(path: Path) -> tuple[bytes, str]:
    body = path.read_bytes()
    return body, compress.etag(body)

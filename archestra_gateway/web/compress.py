"""gzip for large answers of our own, and `ETag`/`304` for static ones."""

import asyncio
import gzip
import hashlib
from typing import cast

from aiohttp import hdrs, web

from archestra_gateway.web import route

MINIMUM = 4 * 1024
"""Over loopback a smaller answer is sooner sent than compressed."""
INLINE = 64 * 1024
"""What is larger is compressed in a thread: at level 4 this much takes about a millisecond."""
LEVEL = 4


async def answer(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """The answer, compressed where that is worth it. MCP and LLM bodies pass as they are, streams too."""
    if not isinstance(response, web.Response) or response.prepared or not _is_compressible(response):
        return response
    row = route.of(request)
    if row is not None and row.carrier != "json":
        return response
    response.headers[hdrs.VARY] = hdrs.ACCEPT_ENCODING
    if accepts_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, "")):
        await _compress(response)
    return response


def accepts_gzip(accept_encoding: str) -> bool:
    """RFC 9110 §12.5.3, of which `gzip;q=0` is the only surprise that matters."""
    for part in accept_encoding.lower().split(","):
        coding, _, quality = part.partition(";")
        if coding.strip() in ("gzip", "*"):
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def etag(body: bytes) -> str:
    """A strong entity tag by content."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def static(request: web.Request, body: bytes, content_type: str, tag: str) -> web.Response:
    """An answer that seldom changes, or 304 when the client has it (`tag` = `etag(body)`, made once)."""
    headers = {hdrs.ETAG: tag, hdrs.CACHE_CONTROL: "no-cache", hdrs.VARY: hdrs.ACCEPT_ENCODING}
    if is_known(tag, request.headers.get(hdrs.IF_NONE_MATCH, "")):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, headers={**headers, hdrs.CONTENT_TYPE: content_type})


def is_known(tag: str, if_none_match: str) -> bool:
    """`If-None-Match` compares weakly (RFC 9110 §13.1.2)."""
    known = {part.strip().removeprefix("W/") for part in if_none_match.split(",")}
    return tag in known or "*" in known


def _is_compressible(response: web.Response) -> bool:
    body = response.body
    return isinstance(body, bytes) and len(body) >= MINIMUM and hdrs.CONTENT_ENCODING not in response.headers


async def _compress(response: web.Response) -> None:
    body = cast(bytes, response.body)
    if len(body) > INLINE:
        packed = await asyncio.to_thread(gzip.compress, body, LEVEL, mtime=0)
    else:
        packed = gzip.compress(body, LEVEL, mtime=0)
    response.body = packed
    response.headers[hdrs.CONTENT_ENCODING] = "gzip"
    if (tag := response.headers.get(hdrs.ETAG)) and not tag.startswith("W/"):
        response.headers[hdrs.ETAG] = f"W/{tag}"

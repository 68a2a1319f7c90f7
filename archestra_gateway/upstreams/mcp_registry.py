"""The public MCP registry (`GET /v0.1/servers`): one page at a time, bounded, whatever it answers.

https://github.com/modelcontextprotocol/registry/blob/main/docs/reference/api/openapi.yaml
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import attrs
import msgspec

from archestra_gateway.errors import UpstreamError, UpstreamTimeout, UpstreamUnavailable

PAGE_SIZE = 100
LARGEST_PAGE = 16 * 1024 * 1024
LONGEST_CURSOR = 1024
SECONDS = 30.0
HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}


@attrs.frozen
class Page:
    """`servers` are objects, and nothing else is sure of them; `date` is the registry's own clock."""

    servers: list[dict[str, Any]]
    next_cursor: str | None
    date: datetime


@attrs.frozen
class McpRegistry:
    """Made by `open_registry`. Raises UpstreamError, UpstreamTimeout or UpstreamUnavailable."""

    url: str
    _http: aiohttp.ClientSession

    async def page(self, cursor: str | None, since: str | None) -> Page:
        """The latest versions; with `since`, those that changed from then on, deleted ones among them."""
        asked = {"version": "latest", "limit": str(PAGE_SIZE), "cursor": cursor, "updated_since": since}
        query = {name: value for name, value in asked.items() if value is not None}
        try:
            async with self._http.get(
                f"{self.url}/v0.1/servers", params=query, headers=HEADERS, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise UpstreamError(f"The registry at {self.url} answered with {response.status}")
                return _page(await _body(response), response.headers.get("Date", ""))
        except TimeoutError as error:
            raise UpstreamTimeout(f"The registry at {self.url} did not answer in time") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UpstreamUnavailable(
                f"The registry at {self.url} can not be reached: {type(error).__name__}"
            ) from error


async def _body(response: aiohttp.ClientResponse) -> Any:
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > LARGEST_PAGE:
            raise UpstreamError(f"The registry answered with more than {LARGEST_PAGE} bytes")
        pieces.append(piece)
    try:
        return msgspec.json.decode(b"".join(pieces))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamError("The registry answered with something that is no JSON") from error


def _page(data: Any, date: str) -> Page:
    servers = data.get("servers") if isinstance(data, dict) else None
    if not isinstance(servers, list):
        raise UpstreamError("The registry answered with something that is no list of servers")
    metadata = data.get("metadata")
    cursor = metadata.get("nextCursor") if isinstance(metadata, dict) else None
    if cursor is not None and not (isinstance(cursor, str) and len(cursor) <= LONGEST_CURSOR):
        raise UpstreamError("The registry answered with a cursor that is none")
    objects = [each for each in servers[:PAGE_SIZE] if isinstance(each, dict)]
    return Page(objects, cursor or None, _moment(date))


def _moment(date: str) -> datetime:
    try:
        return parsedate_to_datetime(date).astimezone(UTC)
    except (TypeError, ValueError):
        return datetime.now(UTC)


@asynccontextmanager
async def open_registry(url: str) -> AsyncIterator[McpRegistry]:
    """For one refresh: no connection is kept beyond it."""
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    ) as http:
        yield McpRegistry(url.rstrip("/"), http)

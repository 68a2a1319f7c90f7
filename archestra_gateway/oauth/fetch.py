"""Requests to authorization servers: checked addresses, bounded bodies, no redirects, cookies or proxies."""

import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import attrs
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from archestra_gateway.errors import UpstreamError, UpstreamTimeout, UpstreamUnavailable
from archestra_gateway.oauth.reach import Limits, printable

LARGEST = 1024 * 1024
HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}

_decode = msgspec.json.Decoder().decode


class AddressRefused(OSError):
    """The connector passes on nothing but OSError."""


class CheckedResolver(AbstractResolver):
    """What it gives is what is connected to, so there is no second look-up that could say something else."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for result in found:
            try:
                self._limits.check_address(host, result["host"])
            except UpstreamError as error:
                raise AddressRefused(error.message) from error
        return found

    async def close(self) -> None:
        await self._resolver.close()


@attrs.frozen
class Answer:
    """`data` is the JSON object of the body; empty when it is none."""

    status: int
    data: dict[str, Any] = attrs.field(repr=False)
    challenges: tuple[str, ...] = ()


@attrs.frozen
class Fetcher:
    """Made by `open_fetcher`. Raises UpstreamError, UpstreamUnavailable or UpstreamTimeout."""

    limits: Limits
    _http: aiohttp.ClientSession

    async def get(self, url: str, what: str) -> Answer:
        return await self._ask("GET", url, what, HEADERS)

    async def post_json(
        self, url: str, what: str, data: Any, headers: Mapping[str, str] | None = None
    ) -> Answer:
        body = msgspec.json.encode(data)
        return await self._ask(
            "POST", url, what, {**HEADERS, "Content-Type": "application/json", **(headers or {})}, body
        )

    async def post_form(
        self, url: str, what: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> Answer:
        return await self._ask("POST", url, what, {**HEADERS, **headers}, dict(form))

    async def head_of_post(self, url: str, what: str, data: Any, headers: Mapping[str, str]) -> Answer:
        """Status and challenges of an answer whose body may have no end."""
        return await self._ask(
            "POST", url, what, {**HEADERS, **headers}, msgspec.json.encode(data), read_body=False
        )

    async def _ask(
        self,
        method: str,
        url: str,
        what: str,
        headers: Mapping[str, str],
        body: bytes | dict[str, str] | None = None,
        *,
        read_body: bool = True,
    ) -> Answer:
        self.limits.check(url, what)
        try:
            async with self._http.request(
                method, url, headers=headers, data=body, allow_redirects=False
            ) as response:
                challenges = tuple(response.headers.getall("WWW-Authenticate", ()))
                data = await _object(response, what) if read_body else {}
                return Answer(response.status, data, challenges)
        except TimeoutError as error:
            raise UpstreamTimeout(f"The {what} at {printable(url)} did not answer in time") from error
        except aiohttp.ClientConnectorDNSError as error:
            if isinstance(error.os_error, AddressRefused):
                raise UpstreamError(f"The {what} at {error.os_error}") from error
            raise UpstreamUnavailable(f"The {what} at {printable(url)} is not known to DNS") from error
        except (aiohttp.ClientError, ValueError) as error:
            raise UpstreamUnavailable(
                f"The {what} at {printable(url)} can not be asked: {_reason(error)}"
            ) from error


def _reason(error: Exception) -> str:
    """Its own words may hold what nobody should read."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not trusted"
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno:
        return os.strerror(error.os_error.errno)
    return type(error).__name__


async def _object(response: aiohttp.ClientResponse, what: str) -> dict[str, Any]:
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > LARGEST:
            raise UpstreamError(f"The {what} answered with more than {LARGEST} bytes")
        pieces.append(piece)
    try:
        data = _decode(b"".join(pieces))
    except (msgspec.DecodeError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


@asynccontextmanager
async def open_fetcher(limits: Limits, seconds: float) -> AsyncIterator[Fetcher]:
    """For one login or one refresh: no connection is kept beyond it."""
    connector = aiohttp.TCPConnector(resolver=CheckedResolver(limits), use_dns_cache=False, force_close=True)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    ) as http:
        yield Fetcher(limits, http)

"""Requests to one remote MCP server, whichever of the HTTP transports it speaks."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import attrs
from yarl import URL

from archestra_gateway.errors import AuthorizationNeeded, GatewayError, UpstreamError, UpstreamUnavailable
from archestra_gateway.protocol import jsonrpc
from archestra_gateway.protocol.sse import Event, Events, Place
from archestra_gateway.schemas.mcp_server import HttpConfig
from archestra_gateway.upstreams.authorization import Authorization, Refusal
from archestra_gateway.upstreams.backoff import retry_after
from archestra_gateway.upstreams.health import Health

JSON = "application/json"
EVENTS = "text/event-stream"
OTHER_REASONS = frozenset({401, 403, 407, 408, 425, 429})
"""Refusals that say nothing about what a server speaks."""
BUSY = frozenset({429, 503})
"""Refusals that may say in `Retry-After` when they end."""


class BrokenOff(UpstreamError):
    """The answer had begun, and did not come to its end."""


class SessionGone(UpstreamError):
    """The server does not know our session any more, and has done nothing."""


class NotSpoken(UpstreamError):
    """The server seems to speak another transport."""


@attrs.define(eq=False)
class Requests:
    """All go to the configured place, with its headers and its login; `health` hears how they went."""

    name: str
    server: HttpConfig
    longest: int
    http: aiohttp.ClientSession
    authorization: Authorization
    health: Health

    @contextlib.asynccontextmanager
    async def open(
        self, method: str, headers: Mapping[str, str], data: bytes | None = None, url: str = ""
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """With the login that there is; with a renewed one once more, where that may help.

        Raises UpstreamUnavailable when it is not reached, and BrokenOff when it breaks in the block.
        """
        has_answered = False
        try:
            async with self._authorized(method, headers, data, url or self.server.url) as response:
                has_answered = True
                self._note(response)
                yield response
        except aiohttp.ClientError as error:
            raise self._failed(error, has_answered) from error

    @contextlib.asynccontextmanager
    async def _authorized(
        self, method: str, headers: Mapping[str, str], data: bytes | None, url: str
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        for is_second in (False, True):
            login = await self.authorization.headers(self.server.url)
            async with self.http.request(
                method, url, data=data, headers=self._headers(headers, login), allow_redirects=False
            ) as response:
                if response.status in (401, 403):
                    challenges = tuple(response.headers.getall("WWW-Authenticate", ()))
                    refusal = Refusal(self.server.url, response.status, challenges, login, is_second)
                    if await self.authorization.renewed(refusal):
                        continue
                elif response.ok:
                    self.authorization.worked()
                yield response
                return

    async def events(
        self, response: aiohttp.ClientResponse, place: Place, silence: float | None = None
    ) -> AsyncIterator[Event]:
        """As they come, until the end. Raises BrokenOff, after `silence` seconds without a byte too."""
        events = Events(self.longest, place)
        while chunk := await self._chunk(response, silence):
            try:
                found = events.read(chunk)
            except ValueError as error:
                raise UpstreamError(f"The MCP server {self.name}: {error}", name=self.name) from error
            for event in found:
                yield event

    async def read(self, response: aiohttp.ClientResponse) -> bytes:
        pieces = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > self.longest:
                raise UpstreamError(f"The MCP server {self.name}: its answer is too long", name=self.name)
            pieces.append(chunk)
        return b"".join(pieces)

    def check(self, response: aiohttp.ClientResponse, text: bytes = b"") -> None:
        """Raises what the status says about whether the request was taken; `text` may say more."""
        status = response.status
        if status < 300:
            return
        if status == 401:
            raise AuthorizationNeeded(f"The MCP server {self.name} asks for authorization", name=self.name)
        message = f"The MCP server {self.name} answered {status} {response.reason}"
        if said := refusal(text):
            message += f": {said}"
        is_other = 400 <= status < 500 and status not in OTHER_REASONS
        raise (NotSpoken if is_other else UpstreamError)(message, name=self.name, **_refused(response))

    def is_ours(self, url: URL) -> bool:
        """Whether it is of the same origin as the configured URL."""
        return url.absolute and not url.user and url.origin() == URL(self.server.url).origin()

    def _headers(self, wanted: Mapping[str, str], login: Mapping[str, str]) -> dict[str, str]:
        """What a login says takes the place of what the configuration says."""
        taken = {name.lower() for name in login}
        configured = {name: value for name, value in self.server.headers.items() if name.lower() not in taken}
        return {**configured, **login, **wanted}

    async def _chunk(self, response: aiohttp.ClientResponse, silence: float | None) -> bytes:
        if silence is None:
            return await response.content.readany()
        try:
            async with asyncio.timeout(silence):
                return await response.content.readany()
        except TimeoutError as error:
            raise BrokenOff(
                f"The MCP server {self.name} sent nothing for {silence:g} seconds", name=self.name
            ) from error

    def _note(self, response: aiohttp.ClientResponse) -> None:
        if response.status < 500 and response.status not in BUSY:
            self.health.worked()
        elif response.method == "POST":  # other requests may fail by themselves
            said = f"The MCP server {self.name} answered {response.status} {response.reason}"
            self.health.failed(UpstreamError(said, name=self.name, **_refused(response)))

    def _failed(self, error: aiohttp.ClientError, has_answered: bool) -> GatewayError:
        if has_answered:
            return BrokenOff(f"The MCP server {self.name} broke off its answer: {error}", name=self.name)
        reason = error.strerror if isinstance(error, aiohttp.ClientConnectorError) else None
        failed = UpstreamUnavailable(
            f"The MCP server {self.name} could not be reached at {self.server.url}: {reason or error}",
            name=self.name,
        )
        self.health.failed(failed)
        return failed


def _refused(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """The status, and in how many seconds it may be another one, where the server says so."""
    status = response.status
    asked = retry_after(response.headers.get("Retry-After"), time.time()) if status in BUSY else None
    return {"status": status} if asked is None else {"status": status, "retry_after": asked}


def refusal(text: bytes) -> str:
    """The sentence of a JSON-RPC error; nothing where there is none."""
    with contextlib.suppress(GatewayError, ValueError):
        error = jsonrpc.value(jsonrpc.decode(text).get("error"))
        if isinstance(error, dict) and isinstance(error.get("message"), str):
            return str(error["message"])[:500]
    return ""

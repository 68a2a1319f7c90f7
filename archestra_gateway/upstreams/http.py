"""An MCP server somewhere else, over streamable HTTP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from functools import partial

import aiohttp

from archestra_gateway.config import McpConfig
from archestra_gateway.errors import (
    AuthorizationNeeded,
    GatewayError,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from archestra_gateway.protocol import jsonrpc, mcp
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.protocol.modern_headers import is_modern, standard
from archestra_gateway.protocol.sse import Events
from archestra_gateway.schemas.mcp_server import HttpConfig
from archestra_gateway.upstreams.authorization import Authorization, Refusal
from archestra_gateway.upstreams.dialogue import Call, Dialogue

ACCEPT = "application/json, text/event-stream"
FAREWELL = 2.0


class Remote:
    """One MCP session there, or none where the server keeps none."""

    pid = 0
    sandbox = "none"

    def __init__(
        self,
        name: str,
        server: HttpConfig,
        limits: McpConfig,
        http: aiohttp.ClientSession,
        authorization: Authorization,
    ) -> None:
        self.name = name
        self._authorization = authorization
        self.dialogue = Dialogue(limits, self._tell)
        self.has_ended = False
        self._server = server
        self._http = http
        self._limit = limits.max_message
        self._opening: Message | None = None
        self._session_id: str | None = None
        self._version: str | None = None
        self._reopening = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def call(self, call: Call) -> Message:
        if mcp.method(call.message) == mcp.INITIALIZE:
            self._opening = call.message
        call.is_cut = is_modern(call.message)
        answer = await self.dialogue.ask(call, partial(self._deliver, call))
        if call.message is self._opening:
            version = mcp.member(answer.get("result"), "protocolVersion")
            self._version = version if isinstance(version, str) else None
        return answer

    async def send(self, message: Message) -> None:
        try:
            async with asyncio.timeout(self.dialogue.limits.request_timeout):
                await self._exchange(None, jsonrpc.line(message))
        except TimeoutError as error:
            raise UpstreamTimeout(
                f"The MCP server {self.name} does not take what it is sent", name=self.name
            ) from error

    async def stop(self) -> None:
        """Ends the session there, when the server has a moment for it."""
        self.has_ended = True
        self.dialogue.end(UpstreamUnavailable(f"The MCP server {self.name} was stopped", name=self.name))
        for task in self._tasks:
            task.cancel()
        if self._session_id is not None:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, GatewayError):
                async with asyncio.timeout(FAREWELL), self._open("DELETE", self._session_id):
                    pass

    async def _deliver(self, call: Call, text: bytes) -> None:
        stale = self._session_id
        if await self._exchange(call, text):
            return
        await self._open_again(stale)
        if not await self._exchange(call, text):
            raise UpstreamError(f"The MCP server {self.name} forgets its sessions at once", name=self.name)

    async def _exchange(self, call: Call | None, text: bytes) -> bool:
        """One POST and all of its answer; False when the server does not know our session any more."""
        is_alone = call is not None and (call.is_cut or call.message is self._opening)
        session_id = None if is_alone else self._session_id
        special = {**standard(call.message), **call.headers} if call is not None and call.is_cut else {}
        try:
            async with self._open("POST", session_id, text, special) as response:
                if response.status == 404 and session_id is not None:
                    return False
                await self._take(call, response)
                return True
        except aiohttp.ClientError as error:
            raise UpstreamUnavailable(
                f"The MCP server {self.name} could not be reached at {self._server.url}: {error}",
                name=self.name,
            ) from error

    @contextlib.asynccontextmanager
    async def _open(
        self,
        method: str,
        session_id: str | None,
        data: bytes | None = None,
        special: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request with the login that there is; with a renewed one once more, where that may help."""
        url = self._server.url
        for is_second in (False, True):
            login = await self._authorization.headers(url)
            headers = {**self._headers(session_id, login), **(special or {})}
            async with self._http.request(
                method, url, data=data, headers=headers, allow_redirects=False
            ) as response:
                if response.status in (401, 403):
                    challenges = tuple(response.headers.getall("WWW-Authenticate", ()))
                    refusal = Refusal(url, response.status, challenges, login, is_second)
                    if await self._authorization.renewed(refusal):
                        continue
                elif response.ok:
                    self._authorization.worked()
                yield response
                return

    async def _take(self, call: Call | None, response: aiohttp.ClientResponse) -> None:
        self._check(response)
        if call is None:
            return
        if call.message is self._opening:
            self._session_id = response.headers.get("Mcp-Session-Id")
        try:
            if response.content_type == "text/event-stream":
                await self._take_events(call, response)
            elif response.content_type == "application/json":
                self._receive(call, await self._read(response))
        except ValueError as error:
            raise UpstreamError(f"The MCP server {self.name}: {error}", name=self.name) from error
        except jsonrpc.ProtocolError as error:
            raise self._unusable(response, error.message) from error
        if call.answer is not None and not call.answer.done():
            raise self._unusable(response, "there is no answer in it")

    def _receive(self, call: Call, text: bytes) -> None:
        """One answer; an error without an id, as of a request that was not understood, is this call's."""
        self.dialogue.receive(text)
        message = jsonrpc.decode(text)
        if "error" in message and message.get("id", jsonrpc.NULL) == jsonrpc.NULL:
            call.settle(message)

    async def _take_events(self, call: Call, response: aiohttp.ClientResponse) -> None:
        events = Events(self._limit)
        async for chunk in response.content.iter_any():
            for data in events.feed(chunk):
                if data:
                    self.dialogue.receive(data)
            if call.answer is not None and call.answer.done():
                return

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        pieces = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > self._limit:
                raise ValueError("its answer is too long")
            pieces.append(chunk)
        return b"".join(pieces)

    def _check(self, response: aiohttp.ClientResponse) -> None:
        if response.status == 401:
            raise AuthorizationNeeded(f"The MCP server {self.name} asks for authorization", name=self.name)
        if response.status >= 400 and response.content_type == "application/json":
            return  # a JSON-RPC error is an answer
        if response.status >= 300:
            raise UpstreamError(
                f"The MCP server {self.name} answered {response.status} {response.reason}",
                name=self.name,
                status=response.status,
            )

    async def _open_again(self, stale: str | None) -> None:
        """Once, however many calls found the session gone."""
        async with self._reopening:
            if self._session_id != stale or self._opening is None:
                return
            await self.call(Call(self._opening, is_own=True))
            await self.send(jsonrpc.notification(mcp.INITIALIZED))
            self.dialogue.renewed()

    def _headers(self, session_id: str | None, login: Mapping[str, str]) -> dict[str, str]:
        """What a login says takes the place of what the configuration says."""
        taken = {name.lower() for name in login}
        configured = {
            name: value for name, value in self._server.headers.items() if name.lower() not in taken
        }
        headers = {**configured, **login, "Accept": ACCEPT, "Content-Type": "application/json"}
        if session_id is not None:
            headers["Mcp-Session-Id"] = session_id
        if self._version is not None:
            headers["MCP-Protocol-Version"] = self._version
        return headers

    def _tell(self, message: Message) -> None:
        task = asyncio.create_task(self._try_to_send(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _try_to_send(self, message: Message) -> None:
        with contextlib.suppress(GatewayError):
            await self.send(message)

    def _unusable(self, response: aiohttp.ClientResponse, why: str) -> UpstreamError:
        return UpstreamError(
            f"The MCP server {self.name} answered {response.status} ({response.content_type}), and {why}",
            name=self.name,
            status=response.status,
        )

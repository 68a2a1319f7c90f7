"""Streamable HTTP: a POST for each message, whose answer may be a stream, and one stream for the rest."""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Literal

import aiohttp

from archestra_gateway.errors import UpstreamError, UpstreamUnavailable
from archestra_gateway.protocol import jsonrpc
from archestra_gateway.protocol.modern_headers import standard
from archestra_gateway.protocol.sse import Place
from archestra_gateway.upstreams.backoff import Pauses
from archestra_gateway.upstreams.dialogue import Call, Dialogue
from archestra_gateway.upstreams.http_listening import listen
from archestra_gateway.upstreams.http_requests import EVENTS, JSON, BrokenOff, Requests, SessionGone, refusal

HEADERS = {"Accept": f"{JSON}, {EVENTS}", "Content-Type": JSON}
SESSION_ID = "Mcp-Session-Id"
FORGOTTEN = re.compile(r"session|not initialized", re.IGNORECASE)
NO_SUCH_PLACE = frozenset({404, 405})
MOST_TRIES = 5
"""Of taking up a stream again, one after the other in vain."""


class StreamableHttp:
    """`lost` is told when the server has forgotten the session."""

    name: Literal["http", "sse"] = "http"
    knows_causes = True

    def __init__(self, requests: Requests, dialogue: Dialogue, lost: Callable[[], object]) -> None:
        self._requests = requests
        self._dialogue = dialogue
        self._lost = lost
        self._session_id: str | None = None
        self._version: str | None = None
        self._listening: asyncio.Task[None] | None = None

    async def begin(self, call: Call, text: bytes) -> None:
        """Raises NotSpoken when this seems to be no such server."""
        self._stop_listening()
        async with self._requests.open("POST", HEADERS, text) as response:
            if response.ok:
                self._session_id, self._version = response.headers.get(SESSION_ID), None
            await self._take(call, response, Place())
        self._check_answered(call, response)

    def agreed(self, version: str | None) -> None:
        self._version = version

    async def deliver(self, call: Call | None, text: bytes) -> None:
        """One POST and all of its answer, in several parts where it is cut and can be taken up again.

        Raises SessionGone.
        """
        place = Place()
        is_sessionless = call is not None and call.is_cut
        session_id = None if is_sessionless else self._session_id
        headers = _of_the_message(call) if call is not None and is_sessionless else self._headers()
        try:
            async with self._requests.open("POST", headers, text) as response:
                await self._take(call, response, place, session_id)
        except BrokenOff:
            if place.last_id is None:
                raise
        if call is None or call.is_answered:
            return
        if place.last_id is not None and not call.is_cut:
            await self._resume(call, place)
        self._check_answered(call, response)

    def listen(self) -> None:
        """To what the server says unasked."""
        self._stop_listening()
        work = listen(self._requests, self._stream_headers, self._receive, self._lost, self._silence)
        self._listening = asyncio.create_task(work)

    async def end(self) -> None:
        self._stop_listening()
        if self._session_id is not None:
            async with self._requests.open("DELETE", self._headers()):
                self._session_id = None

    @property
    def keeps_session(self) -> bool:
        return self._session_id is not None

    @property
    def _silence(self) -> float:
        """Seconds without a byte after which a stream is taken for dead."""
        return 20 * self._dialogue.limits.keep_alive

    async def _take(
        self, call: Call | None, response: aiohttp.ClientResponse, place: Place, session_id: str | None = None
    ) -> None:
        is_json = response.content_type == JSON
        if response.ok and call is not None and response.content_type == EVENTS:
            await self._take_events(call, response, place)
            return
        text = await self._requests.read(response) if is_json else b""
        if session_id is not None and _is_forgotten(response.status, text):
            raise SessionGone(f"The MCP server {self._requests.name} does not know the session any more")
        if is_json and call is not None:
            self._take_answer(call, response.status, text)
        if call is None or not call.is_answered:
            self._requests.check(response, text)

    def _take_answer(self, call: Call, status: int, text: bytes) -> None:
        """The error of a refused request is one too; without an id, as of what was not understood, it is this
        call's, unless it is about the place."""
        self._receive(text, (call,))
        message = jsonrpc.decode(text)
        is_about_nothing = message.get("id", jsonrpc.NULL) == jsonrpc.NULL
        if "error" in message and is_about_nothing and status not in NO_SUCH_PLACE:
            call.settle(message)

    async def _take_events(self, call: Call, response: aiohttp.ClientResponse, place: Place) -> None:
        """To the end of the stream, so that the connection is good for the next request."""
        silence = self._silence if call.is_endless else None
        async for event in self._requests.events(response, place, silence):
            if event.data:
                self._receive(event.data, (call,))

    async def _resume(self, call: Call, place: Place) -> None:
        """A server may end a stream before the answer, for the client to come back."""
        pauses = Pauses()
        while not call.is_answered:
            await asyncio.sleep(pauses.next(place.retry))
            try:
                async with self._requests.open("GET", self._stream_headers(place)) as response:
                    self._requests.check(response)
                    pauses.reset()
                    await self._take_events(call, response, place)
            except (BrokenOff, UpstreamUnavailable):
                if pauses.tries > MOST_TRIES:
                    raise

    def _receive(self, text: bytes, causes: Sequence[Call]) -> None:
        try:
            self._dialogue.receive(text, causes)
        except jsonrpc.ProtocolError as error:
            name = self._requests.name
            raise UpstreamError(
                f"The MCP server {name} sent no MCP message: {error.message}", name=name
            ) from error

    def _check_answered(self, call: Call, response: aiohttp.ClientResponse) -> None:
        if not call.is_answered:
            name = self._requests.name
            raise UpstreamError(
                f"The MCP server {name} answered {response.status} ({response.content_type}), and there is "
                "no answer in it",
                name=name,
                status=response.status,
            )

    def _headers(self) -> dict[str, str]:
        headers = dict(HEADERS)
        if self._session_id is not None:
            headers[SESSION_ID] = self._session_id
        if self._version is not None:
            headers["MCP-Protocol-Version"] = self._version
        return headers

    def _stream_headers(self, place: Place) -> dict[str, str]:
        headers = {**self._headers(), "Accept": EVENTS}
        return headers if place.last_id is None else {**headers, "Last-Event-ID": place.last_id}

    def _stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None


def _of_the_message(call: Call) -> dict[str, str]:
    """Of one that belongs to no session, and says itself what it is."""
    return {**HEADERS, **standard(call.message), **call.headers}


def _is_forgotten(status: int, text: bytes) -> bool:
    """404 it should be; many servers say 400 to a session that they do not know."""
    return status == 404 or (status == 400 and FORGOTTEN.search(refusal(text)) is not None)

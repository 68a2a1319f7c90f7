"""Calls of clients of 2026-07-28: as they are where the server is of that era, else in rounds that we keep.

A server with sessions asks its client in the middle of a call. A client of 2026-07-28 gets the question as
the result of its call, and calls again with the answer. Between the two the call waits here.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
from msgspec import Raw

from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.protocol import eras, jsonrpc, mcp, modern
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.services.mcp_lane import Lane
from archestra_gateway.services.mcp_modern_request import (
    Key,
    Request,
    input_responses,
    missing_capability,
    refuse,
    with_pages,
    without_log,
)
from archestra_gateway.upstreams.dialogue import Call

MOST_LANES = 8
"""Of one client with one server."""
MOST_PARKED = 100


@attrs.define(eq=False)
class Lanes:
    """Those of one client with one server; `busy` ones have a call, or somebody who waits for one."""

    room: asyncio.Semaphore = attrs.field(factory=lambda: asyncio.Semaphore(MOST_LANES))
    busy: int = 0
    free: list[Lane] = attrs.field(factory=list)


@attrs.frozen(eq=False)
class Parked:
    lane: Lane
    key: Key
    digest: bytes
    timer: asyncio.TimerHandle


@attrs.define(eq=False)
class Rounds:
    """Made by `open_rounds`."""

    _lanes: dict[Key, Lanes] = attrs.field(factory=dict)
    _parked: dict[str, Parked] = attrs.field(factory=dict)
    _closing: set[asyncio.Task[None]] = attrs.field(factory=set)

    async def ask(self, request: Request) -> Message:
        """The server's answer, which may be that it needs input first. Raises GatewayError."""
        server, message = request.server, request.message
        shared = await server.shared()
        if await server.era.as_it_is(shared):
            headers = await server.repeated(message)
            return await shared.call(Call(message, request.listener, headers=headers))
        if mcp.method(message) in modern.NAMED and self._needs_lane(request):
            return with_pages(request, await self._in_lane(request))
        call = Call(eras.without_envelope(message), without_log(request.listener))
        call.was_asked = lambda question: refuse(call, mcp.method(question))
        return await shared.call(call)

    async def close(self) -> None:
        for state in list(self._parked):
            self._expire(state)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _needs_lane(self, request: Request) -> bool:
        if request.may_be_asked:
            return True
        capabilities = mcp.member(request.server.initialized, "capabilities")
        can_log = isinstance(capabilities, dict) and "logging" in capabilities
        return can_log and request.envelope.log_level is not None

    async def _in_lane(self, request: Request) -> Message:
        params = mcp.members(request.message.get("params"))
        responses = input_responses(params.get("inputResponses"))
        if "requestState" in params:
            lane = self._claimed(request, jsonrpc.value(params["requestState"]))
            going = lane.go_on(request.message, request.listener, responses)
        else:
            lane = await self._lane(request.key)
            plain = eras.without_envelope(request.message)
            going = lane.begin(plain, request.listener, request.envelope.log_level)
        try:
            await going
            answer = await lane.next_turn()
            if answer is None:
                return self._question(request, lane)
        except BaseException:
            self._discard(request.key, lane)
            raise
        self._release(request.key, lane)
        return {**answer, "id": request.message["id"]}

    def _question(self, request: Request, lane: Lane) -> Message:
        """Raises MissingCapability."""
        wanted = {eras.ASKED_FOR[mcp.method(question)] for question in lane.questions.values()}
        if missing := sorted(wanted - request.envelope.capabilities.keys()):
            raise missing_capability({capability: {} for capability in missing})
        asked = {
            "resultType": "input_required",
            "inputRequests": lane.requests(),
            "requestState": self._park(request, lane),
        }
        return jsonrpc.result(request.message["id"], asked)

    def _park(self, request: Request, lane: Lane) -> str:
        if len(self._parked) >= MOST_PARKED:
            self._expire(next(iter(self._parked)))
        state = secrets.token_urlsafe(32)
        timer = asyncio.get_running_loop().call_later(
            request.server.limits.input_timeout, self._expire, state
        )
        self._parked[state] = Parked(lane, request.key, request.digest, timer)
        lane.rest()
        return state

    def _claimed(self, request: Request, state: object) -> Lane:
        """The call that waits for this retry. Raises InvalidParams."""
        parked = self._parked.get(state) if isinstance(state, str) else None
        if parked is None or parked.key != request.key or parked.digest != request.digest:
            raise modern.InvalidParams(
                "The requestState is unknown, is over, or belongs to another call: call without it"
            )
        del self._parked[str(state)]
        parked.timer.cancel()
        return parked.lane

    def _expire(self, state: str) -> None:
        parked = self._parked.pop(state)
        parked.timer.cancel()
        self._discard(parked.key, parked.lane)

    async def _lane(self, key: Key) -> Lane:
        """One that is free, or another one. Raises GatewayError."""
        lanes = self._lanes.setdefault(key, Lanes())
        server = key[1]
        if lanes.room.locked():
            for state in [state for state, parked in self._parked.items() if parked.key == key][:1]:
                self._expire(state)  # the client does not seem to come back
        lanes.busy += 1
        try:
            async with asyncio.timeout(server.limits.request_timeout):
                await lanes.room.acquire()
        except BaseException as error:
            lanes.busy -= 1
            self._tidy(key)
            if not isinstance(error, TimeoutError):
                raise
            raise UpstreamUnavailable(
                f"{MOST_LANES} calls of this client to the MCP server {server.name} are running already",
                name=server.name,
            ) from error
        return lanes.free.pop() if lanes.free else await self._opened(key)

    async def _opened(self, key: Key) -> Lane:
        lane = Lane(key[1], lambda lane: self._forget(key, lane))
        try:
            await lane.open(Raw(key[2]))
        except BaseException:
            self._leave(key)
            raise
        return lane

    def _release(self, key: Key, lane: Lane) -> None:
        if not lane.has_ended:
            self._lanes[key].free.append(lane)
        self._leave(key)

    def _discard(self, key: Key, lane: Lane) -> None:
        """Its server may still be at the call, so nobody else gets it."""
        closing = asyncio.create_task(lane.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        self._leave(key)

    def _leave(self, key: Key) -> None:
        lanes = self._lanes[key]
        lanes.busy -= 1
        lanes.room.release()
        self._tidy(key)

    def _forget(self, key: Key, lane: Lane) -> None:
        lanes = self._lanes.get(key)
        if lanes is not None and lane in lanes.free:
            lanes.free.remove(lane)
            self._tidy(key)

    def _tidy(self, key: Key) -> None:
        lanes = self._lanes[key]
        if not lanes.free and not lanes.busy:
            del self._lanes[key]


@asynccontextmanager
async def open_rounds() -> AsyncIterator[Rounds]:
    rounds = Rounds()
    try:
        yield rounds
    finally:
        await rounds.close()

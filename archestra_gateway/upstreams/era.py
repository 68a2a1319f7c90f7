"""In which era a server is spoken to: found out when it is opened, and remembered."""

import asyncio

import attrs

from archestra_gateway.errors import GatewayError, UpstreamError
from archestra_gateway.protocol import eras, jsonrpc, mcp, modern
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.modern import Headers, Modern, open_modern, speaks_modern
from archestra_gateway.upstreams.upstream import Upstream

PATIENCE = 2.0
"""Seconds for `server/discover`, which a server of the old era need not answer."""


@attrs.define
class Era:
    """`is_modern`: the new one is spoken. `is_both`: its requests are taken beside those of sessions."""

    is_modern: bool = False
    is_both: bool | None = None

    async def open(self, wire: Upstream, call: Call, name: str, headers: Headers) -> tuple[Upstream, Message]:
        """The server behind `wire` and its answer to the `initialize` in `call`. Raises GatewayError.

        `initialize` goes first: there are servers that end when something else does. One that answers it and
        keeps no session can do more in the new era, if it knows that too.
        """
        if self.is_modern and (opened := await open_modern(wire, call, name, headers)):
            return opened
        try:
            answer = await wire.call(call)
        except UpstreamError:
            if wire.has_ended or not (opened := await open_modern(wire, call, name, headers)):
                raise
        else:
            is_enough = "result" in answer and (wire.keeps_session or not await self.as_it_is(wire))
            if is_enough or not (opened := await open_modern(wire, call, name, headers)):
                self.is_modern = False
                return wire, answer
        self.is_modern = True
        return opened

    async def as_it_is(self, shared: Upstream) -> bool:
        """Whether requests of 2026-07-28 may go there untranslated."""
        if isinstance(shared, Modern):
            return True
        if self.is_both is None:
            self.is_both = await _takes_both(shared)
        return self.is_both


async def _takes_both(upstream: Upstream) -> bool:
    envelope = {
        mcp.VERSION_KEY: modern.VERSION,
        modern.CAPABILITIES_KEY: {},
        modern.CLIENT_INFO_KEY: modern.SERVER_INFO,
    }
    message = eras.with_envelope(jsonrpc.request(0, modern.DISCOVER), envelope, {})
    try:
        async with asyncio.timeout(PATIENCE):
            return speaks_modern(await upstream.call(Call(message, is_own=True)))
    except (TimeoutError, GatewayError):
        return False

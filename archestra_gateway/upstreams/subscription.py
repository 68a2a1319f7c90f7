"""What a server of 2026-07-28 says about itself, heard by one `subscriptions/listen` after another."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Any

import attrs

from archestra_gateway.errors import GatewayError, UpstreamError, UpstreamTimeout
from archestra_gateway.protocol import eras, jsonrpc, mcp, modern
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.upstream import Upstream

UPDATED = "notifications/resources/updated"
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 30.0


@attrs.define(eq=False)
class Stream:
    """One of them; opened again when it breaks."""

    filters: Mapping[str, Any]
    call: Call | None = None
    acknowledged: asyncio.Event = attrs.field(factory=asyncio.Event)
    was_broken: bool = False
    task: asyncio.Task[None] | None = None

    def is_called(self, identifier: Any) -> bool:
        return self.call is not None and self.call.number == identifier


class Subscription:
    """`envelope` is what every request carries."""

    def __init__(self, wire: Upstream, envelope: Mapping[str, Any]) -> None:
        self._wire = wire
        self._envelope = envelope
        self._kinds: list[str] = []
        self._uris: list[str] = []
        self._stream: Stream | None = None
        self._next: Stream | None = None
        self._changing = asyncio.Lock()

    async def begin(self, capabilities: Mapping[str, Any]) -> None:
        """Hear of everything that the server promises to tell."""
        for kind in ("tools", "prompts", "resources"):
            promised = capabilities.get(kind)
            if isinstance(promised, dict) and promised.get("listChanged"):
                self._kinds.append(kind)
        if self._kinds:
            self._stream = self._open()

    async def add(self, uri: Any) -> None:
        """Raises UpstreamError or UpstreamTimeout when the server does not take it."""
        if isinstance(uri, str) and uri not in self._uris:
            self._uris.append(uri)
            try:
                await self._renew()
            except BaseException:
                self._uris.remove(uri)
                raise

    async def remove(self, uri: Any) -> None:
        if uri in self._uris:
            self._uris.remove(uri)
            await self._renew()

    async def end(self) -> None:
        for stream in (self._stream, self._next):
            await _cancel(stream)

    def concerns(self, message: Message) -> bool:
        """Whether it came by a subscription, though by one that is over."""
        return modern.SUBSCRIPTION_KEY in mcp.meta(message.get("params"))

    def news(self, message: Message) -> list[Message]:
        """What a session would hear."""
        identifier = jsonrpc.value(mcp.meta(message.get("params"))[modern.SUBSCRIPTION_KEY])
        if mcp.method(message) == modern.ACKNOWLEDGED:
            return self._acknowledge(identifier)
        is_current = self._stream is not None and self._stream.is_called(identifier)
        return [eras.without_subscription(message)] if is_current else []

    def _acknowledge(self, identifier: Any) -> list[Message]:
        """From here on a new stream is the one that is heard. What a gap may have hidden is news."""
        if self._next is not None and self._next.is_called(identifier):
            self._stream, self._next = self._next, None
        stream = self._stream
        if stream is None or not stream.is_called(identifier):
            return []
        stream.acknowledged.set()
        return self._missed() if stream.was_broken else []

    def _missed(self) -> list[Message]:
        changed = [jsonrpc.notification(f"notifications/{kind}/list_changed") for kind in self._kinds]
        updated = [jsonrpc.notification(UPDATED, {"uri": uri}) for uri in self._uris]
        return changed + updated

    async def _renew(self) -> None:
        """With the filters of now; the old stream ends when the new one is acknowledged.

        Raises UpstreamError or UpstreamTimeout.
        """
        async with self._changing:
            old = self._stream
            if self._kinds or self._uris:
                self._next = new = self._open()
                try:
                    await self._until_acknowledged(new)
                except BaseException:
                    self._next = None
                    await _cancel(new)
                    raise
            else:
                self._stream = None
            await _cancel(old)

    async def _until_acknowledged(self, stream: Stream) -> None:
        waiting = asyncio.create_task(stream.acknowledged.wait())
        ending = [waiting, stream.task] if stream.task is not None else [waiting]
        seconds = self._wire.dialogue.limits.request_timeout
        try:
            done, _ = await asyncio.wait(ending, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if not done:
            raise UpstreamTimeout(f"The MCP server did not acknowledge `{modern.LISTEN}`")
        if waiting not in done:
            raise UpstreamError(f"The MCP server refused `{modern.LISTEN}`")

    def _open(self) -> Stream:
        filters: dict[str, Any] = {f"{kind}ListChanged": True for kind in self._kinds}
        if self._uris:
            filters["resourceSubscriptions"] = list(self._uris)
        stream = Stream(filters)
        stream.task = asyncio.create_task(self._keep(stream))
        return stream

    async def _keep(self, stream: Stream) -> None:
        """Until the server is gone, or does not know what this is."""
        pause = FIRST_PAUSE
        while not self._wire.has_ended:
            request = jsonrpc.request(0, modern.LISTEN, {"notifications": stream.filters})
            message = eras.with_envelope(request, self._envelope, {})
            stream.call = Call(message, is_own=True, is_endless=True)
            began = time.monotonic()
            with contextlib.suppress(GatewayError):
                if "error" in await self._wire.call(stream.call):
                    return
            is_lasting = time.monotonic() - began > LONGEST_PAUSE
            pause = FIRST_PAUSE if is_lasting else min(pause * 2, LONGEST_PAUSE)
            stream.was_broken = stream.acknowledged.is_set()
            await asyncio.sleep(pause)


async def _cancel(stream: Stream | None) -> None:
    if stream is not None and stream.task is not None:
        stream.task.cancel()
        await asyncio.wait([stream.task])

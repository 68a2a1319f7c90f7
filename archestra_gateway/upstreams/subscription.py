"""What a server of 2026-07-28 says about itself, heard by one `subscriptions/listen` after another."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import attrs

from archestra_gateway.errors import GatewayError, UpstreamTimeout
from archestra_gateway.protocol import eras, jsonrpc, mcp, modern
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.upstream import Upstream

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0


@attrs.define(eq=False)
class Stream:
    """One of them; opened again when it breaks."""

    filters: Mapping[str, Any]
    call: Call | None = None
    acknowledged: asyncio.Event = attrs.field(factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def is_called(self, identifier: Any) -> bool:
        return self.call is not None and self.call.number == identifier


class Subscription:
    """`envelope` is what every request carries."""

    def __init__(self, wire: Upstream, envelope: Mapping[str, Any]) -> None:
        self._wire = wire
        self._envelope = envelope
        self._kinds: dict[str, bool] = {}
        self._uris: list[str] = []
        self._stream: Stream | None = None
        self._next: Stream | None = None
        self._changing = asyncio.Lock()

    async def begin(self, capabilities: Mapping[str, Any]) -> None:
        """Hear of everything that the server promises to tell."""
        for kind in ("tools", "prompts", "resources"):
            promised = capabilities.get(kind)
            if isinstance(promised, dict) and promised.get("listChanged"):
                self._kinds[f"{kind}ListChanged"] = True
        if self._kinds:
            self._stream = self._open()

    async def add(self, uri: Any) -> None:
        """Raises UpstreamTimeout when the server does not take it."""
        if isinstance(uri, str) and uri not in self._uris:
            self._uris.append(uri)
            await self._renew()

    async def remove(self, uri: Any) -> None:
        if uri in self._uris:
            self._uris.remove(uri)
            await self._renew()

    async def end(self) -> None:
        tasks = [
            each.task for each in (self._stream, self._next) if each is not None and each.task is not None
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def concerns(self, message: Message) -> bool:
        """Whether it came by a subscription, though by one that is over."""
        return modern.SUBSCRIPTION_KEY in mcp.meta(message.get("params"))

    def news(self, message: Message) -> Message | None:
        """What a session would hear; nothing for what is said of the subscription itself."""
        identifier = jsonrpc.value(mcp.meta(message.get("params"))[modern.SUBSCRIPTION_KEY])
        if mcp.method(message) == modern.ACKNOWLEDGED:
            self._acknowledge(identifier)
            return None
        is_current = self._stream is not None and self._stream.is_called(identifier)
        return eras.without_subscription(message) if is_current else None

    def _acknowledge(self, identifier: Any) -> None:
        """From here on a new stream is the one that is heard."""
        if self._next is not None and self._next.is_called(identifier):
            self._stream, self._next = self._next, None
        if self._stream is not None and self._stream.is_called(identifier):
            self._stream.acknowledged.set()

    async def _renew(self) -> None:
        """With the filters of now; the old stream ends when the new one is acknowledged."""
        async with self._changing:
            old, new = self._stream, self._open()
            self._next = new
            try:
                async with asyncio.timeout(self._wire.dialogue.limits.request_timeout):
                    await new.acknowledged.wait()
            except TimeoutError as error:
                self._next = None
                await _cancel(new)
                raise UpstreamTimeout(f"The MCP server did not acknowledge `{modern.LISTEN}`") from error
            if old is not None:
                await _cancel(old)

    def _open(self) -> Stream:
        filters: dict[str, Any] = dict(self._kinds)
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
            stream.acknowledged.clear()
            with contextlib.suppress(GatewayError):
                if "error" in await self._wire.call(stream.call):
                    return
            pause = FIRST_PAUSE if stream.acknowledged.is_set() else min(pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(pause)


async def _cancel(stream: Stream) -> None:
    if stream.task is not None:
        stream.task.cancel()
        await asyncio.wait([stream.task])

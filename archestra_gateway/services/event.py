"""What happens in the gateway, for those who watch: small notes, never kept for who was not there."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import attrs

from archestra_gateway.errors import RateLimited

BACKLOG = 256
MOST_WATCHERS = 64


@attrs.frozen
class Event:
    """`kind` is `<noun>.<what happened>`."""

    kind: str
    data: dict[str, Any]


LAGGED = Event("lagged", {})
"""To a watcher who read too slowly: look at everything again."""


@attrs.define(eq=False)
class _Watcher:
    events: deque[Event] = attrs.field(factory=deque)
    arrived: asyncio.Event = attrs.field(factory=asyncio.Event)

    def hear(self, event: Event) -> None:
        if len(self.events) >= BACKLOG:
            self.events.clear()
            event = LAGGED
        self.events.append(event)
        self.arrived.set()


@attrs.frozen
class Events:
    _watchers: set[_Watcher] = attrs.field(factory=set)

    def publish(self, kind: str, **data: Any) -> None:
        """Never waits."""
        for watcher in self._watchers:
            watcher.hear(Event(kind, data))

    async def watch(self) -> AsyncIterator[Event]:
        """From now on. Raises RateLimited when too many watch."""
        if len(self._watchers) >= MOST_WATCHERS:
            raise RateLimited(f"{MOST_WATCHERS} watch the gateway's events already")
        watcher = _Watcher()
        self._watchers.add(watcher)
        try:
            while True:
                while watcher.events:
                    yield watcher.events.popleft()
                watcher.arrived.clear()
                await watcher.arrived.wait()
        finally:
            self._watchers.discard(watcher)

"""Tells when the gateway's own resources have changed; soon after it, and not for every change."""

import asyncio
from collections.abc import Callable

import attrs

from archestra_gateway.services.mcp_own_uris import CONTEXT, NAME, REQUESTS, SERVERS, server_uri
from archestra_gateway.services.mcp_request_log import Entry

PAUSE = 0.25
"""Seconds in which changes are gathered."""

Listener = Callable[[str, str | None], object]
"""Gets a URI, and whose resource it is where each client has its own."""


@attrs.define(eq=False)
class OwnNews:
    listener: Listener = lambda uri, client: None
    _loop: asyncio.AbstractEventLoop = attrs.field(factory=asyncio.get_running_loop)
    _changed: dict[tuple[str, str | None], None] = attrs.field(factory=dict)
    _timer: asyncio.TimerHandle | None = None

    def context(self, client: str) -> None:
        self._note(CONTEXT, client)

    def server(self, name: str) -> None:
        """One came, went or changed; an empty name: any of them did."""
        self._note(SERVERS)
        if name:
            self._note(server_uri(name))

    def recorded(self, entry: Entry) -> None:
        """A call was; one that only asks the gateway itself is no news, or to read them would make more."""
        if entry.server_name != NAME:
            self._note(REQUESTS)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _note(self, uri: str, client: str | None = None) -> None:
        self._changed[uri, client] = None
        if self._timer is None:
            self._timer = self._loop.call_later(PAUSE, self._tell)

    def _tell(self) -> None:
        changed, self._changed, self._timer = self._changed, {}, None
        for uri, client in changed:
            self.listener(uri, client)

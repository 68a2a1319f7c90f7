"""One `subscriptions/listen` of a client of 2026-07-28."""

import asyncio
from collections.abc import Mapping
from typing import Any

import attrs
from msgspec import Raw

from archestra_gateway.protocol import jsonrpc, mcp, modern
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.services.mcp_view import Visibility
from archestra_gateway.upstreams.dialogue import Listener

FILTERS: Mapping[str, str] = {
    "toolsListChanged": "notifications/tools/list_changed",
    "promptsListChanged": "notifications/prompts/list_changed",
    "resourcesListChanged": "notifications/resources/list_changed",
}
UPDATED = "notifications/resources/updated"


@attrs.frozen(eq=False)
class Listen:
    """`client` is the name under which the gateway's own resources are read."""

    identifier: Raw
    filters: frozenset[str]
    uris: tuple[str, ...]
    visibility: Visibility
    _listener: Listener
    client: str = ""
    ended: asyncio.Event = attrs.field(factory=asyncio.Event)

    @classmethod
    def wanted(cls, message: Message, listener: Listener, visibility: Visibility) -> "Listen":
        asked = mcp.member(message.get("params"), "notifications")
        asked = asked if isinstance(asked, dict) else {}
        uris = asked.get("resourceSubscriptions")
        return cls(
            message["id"],
            frozenset(name for name in FILTERS if asked.get(name) is True),
            tuple(uri for uri in uris if isinstance(uri, str)) if isinstance(uris, list) else (),
            visibility,
            listener,
        )

    def within(self, capabilities: Mapping[str, Any]) -> "Listen":
        """What a server with these can tell of."""

        def promises(kind: str, promise: str) -> bool:
            said = capabilities.get(kind)
            return isinstance(said, dict) and said.get(promise) is True

        filters = {name for name in self.filters if promises(FILTERS[name].split("/")[1], "listChanged")}
        uris = self.uris if promises("resources", "subscribe") else ()
        return attrs.evolve(self, filters=frozenset(filters), uris=uris)

    def acknowledge(self) -> None:
        honoured: dict[str, Any] = {name: True for name in FILTERS if name in self.filters}
        if self.uris:
            honoured["resourceSubscriptions"] = list(self.uris)
        self._tell(jsonrpc.notification(modern.ACKNOWLEDGED, {"notifications": honoured}))

    def hear_news(self, message: Message) -> None:
        method = mcp.method(message)
        is_wanted = (
            mcp.member(message.get("params"), "uri") in self.uris
            if method == UPDATED
            else any(FILTERS[name] == method for name in self.filters)
        )
        if is_wanted:
            self._tell(message)

    def result(self) -> Message:
        return jsonrpc.result(self.identifier, {"_meta": {modern.SUBSCRIPTION_KEY: self.identifier}})

    def _tell(self, message: Message) -> None:
        params = message.get("params")
        meta = {**mcp.meta(params), modern.SUBSCRIPTION_KEY: self.identifier}
        if not self._listener({**message, "params": mcp.with_member(params, "_meta", jsonrpc.raw(meta))}):
            self.ended.set()

"""Tools of MCP servers that are others than a person accepted: held back, shown, accepted."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Self

import attrs
from msgspec import Raw

from archestra_gateway.errors import Conflict, NotFound
from archestra_gateway.protocol import jsonrpc, mcp
from archestra_gateway.protocol.tool_definition import Definition, differences, parsed
from archestra_gateway.services.event import Events
from archestra_gateway.services.mcp_server import McpServers
from archestra_gateway.store import mcp_tool_pin as store
from archestra_gateway.store.database import Database
from archestra_gateway.upstreams.pins import Pin, Pins
from archestra_gateway.upstreams.server import Server

MOST_NAMED = 20
"""Names of tools in one event."""


@attrs.frozen(eq=False)
class ToolPins:
    """Made by `load`."""

    _database: Database
    _servers: McpServers
    _events: Events

    @classmethod
    async def load(cls, database: Database, servers: McpServers, events: Events) -> Self:
        pins = cls(database, servers, events)
        async with database.read() as db:
            rows = await store.list_all(db)
            sights = await store.sights(db)
        for known in servers.known():
            name = known.server.name
            _restore(known.server.pins, [row for row in rows if row["server_name"] == name])
            known.server.pins.sights = frozenset(frozenset(each) for server, each in sights if server == name)
        servers.watch(pins._attach)
        pins._attach()
        return pins

    def changes(self, name: str) -> dict[str, Any]:
        """As `schemas.mcp_tool_pin.ToolChanges`. Raises NotFound."""
        pins = self._servers.find(name).pins
        held = [_change(pins.accepted.get(name), pins.held[name]) for name in sorted(pins.held)]
        return {
            "revision": pins.revision,
            "added": [each for each in held if each["before"] is None],
            "changed": [each for each in held if each["before"] is not None],
            "removed": [_change(pins.accepted[name], None) for name in sorted(pins.gone)],
        }

    async def accept(self, name: str, tools: list[str] | None, revision: str | None) -> dict[str, Any]:
        """What is left then. Raises NotFound, and Conflict when something else waits than was shown."""
        pins = self._servers.find(name).pins
        if revision is not None and revision != pins.revision:
            raise Conflict(
                f"The tools of the MCP server {name} have changed again since: look at the changes once more",
                name=name,
                revision=pins.revision,
            )
        waiting = {*pins.held, *pins.gone}
        if unknown := sorted(set(tools or ()) - waiting):
            raise NotFound(f"No change of the tool {unknown[0]} waits", name=name, tools=unknown)
        await pins.accept(waiting if tools is None else tools)
        return self.changes(name)

    def counts(self) -> Mapping[str, Any]:
        servers = [known.server for known in self._servers.known()]
        return {"held_back": {server.name: len(server.pins.held) for server in servers if server.pins.held}}

    def _attach(self) -> None:
        for known in self._servers.known():
            known.server.pins.keep = partial(self._keep, known.server)

    async def _keep(self, server: Server, is_news: bool) -> None:
        async with self._database.transaction() as db:
            if self._is_there(server):
                sights = [sorted(abilities) for abilities in server.pins.sights]
                await store.replace(db, server.name, _rows(server), sights)
        if is_news and self._is_there(server):
            pins = server.pins
            self._events.publish(
                "mcp_server.tools_changed",
                name=server.name,
                held_back=sorted(pins.held)[:MOST_NAMED],
                removed=sorted(pins.gone)[:MOST_NAMED],
            )
            server.broadcast(jsonrpc.notification(mcp.TOOLS_CHANGED))

    def _is_there(self, server: Server) -> bool:
        return any(known.server is server for known in self._servers.known())


def _change(before: Pin | None, after: Pin | None) -> dict[str, Any]:
    old, new = ({} if pin is None else parsed(pin.definition.text) for pin in (before, after))
    pin = after or before
    assert pin is not None  # noqa: S101
    return {
        "name": pin.definition.name,
        "fields": []
        if after is None
        else [{"field": name, "diff": diff} for name, diff in differences(old, new)],
        "before": None if before is None else before.definition.text,
        "after": None if after is None else after.definition.text,
    }


def _rows(server: Server) -> list[store.Row]:
    pins = server.pins
    return [
        store.Row(
            server_name=server.name,
            tool_name=name,
            accepted=_text(pins.accepted.get(name)),
            waiting=_text(pins.held.get(name)),
            is_gone=name in pins.gone,
            shown_to=sorted(map(sorted, (pins.accepted.get(name) or pins.held[name]).shown_to)),
        )
        for name in {**pins.accepted, **pins.held}
    ]


def _text(pin: Pin | None) -> str | None:
    return None if pin is None else bytes(pin.definition.text).decode()


def _restore(pins: Pins, rows: list[store.Row]) -> None:
    pins.accepted = _pins((row["accepted"], row) for row in rows)
    pins.held = _pins((row["waiting"], row) for row in rows)
    pins.gone = frozenset(row["tool_name"] for row in rows if row["is_gone"])


def _pins(texts: Iterable[tuple[str | None, store.Row]]) -> dict[str, Pin]:
    definitions = ((Definition.read(Raw(text.encode())), row) for text, row in texts if text is not None)
    return {
        each.name: Pin(each, frozenset(map(frozenset, row["shown_to"])))
        for each, row in definitions
        if each is not None
    }

"""What every MCP server offers, known without starting it: asked when it runs, kept in the database."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self

import attrs

from archestra_gateway.errors import GatewayError, ToolHeldBack, UpstreamUnavailable
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.protocol.tool_name import qualified
from archestra_gateway.services.mcp_server import Known, McpServers
from archestra_gateway.services.mcp_view import Visibility
from archestra_gateway.store import mcp_catalogue as store
from archestra_gateway.store.database import Database
from archestra_gateway.upstreams.description import Description, Item, describe, from_text, to_text
from archestra_gateway.upstreams.pins import NO_ABILITIES, Abilities
from archestra_gateway.upstreams.server import Server
from archestra_gateway.upstreams.tool_gate import held_back

log = logging.getLogger(__name__)

RETRY = 30.0
"""Seconds after which a server that could not tell is asked again."""

Listener = Callable[[str, Message | None], object]
"""Gets a server's name and its news; no message: what it offers is not what it was."""


@attrs.define(eq=False)
class Shelf:
    """One server's part; `configured_at` is the configuration that the description belongs to.

    `asked_for` is the one that it was last asked about, and `error` why it could not tell then.
    `offered` is of it what is not held back, by the pins' version `pinned`.
    """

    server: Server
    description: Description | None = None
    configured_at: str = ""
    asked_for: str = ""
    changes: int = 0
    described: int = -1
    asking: asyncio.Task[None] | None = None
    asked_at: float = float("-inf")
    error: GatewayError | None = None
    offered: Description | None = None
    pinned: int = -1
    described_as: Description | None = None

    def offers(self, client: Abilities = NO_ABILITIES) -> Description | None:
        """To clients with these abilities, as far as it was seen what such ones are offered."""
        offered = self._offers_everybody()
        if offered is None or not client:
            return offered
        names = {item.name for item in offered.tools}
        more = [each for each in self.server.pins.more_for(client) if each.name not in names]
        return offered.with_tools(Item(each.name, each.text) for each in more) if more else offered

    def _offers_everybody(self) -> Description | None:
        pins = self.server.pins
        described = self.description
        if self.pinned != pins.version or self.described_as is not described:
            self.pinned, self.described_as = pins.version, described
            self.offered = described and described.without(lambda tool: not pins.shows(tool.text))
        return self.offered

    def is_fresh(self, configured_at: str) -> bool:
        return self.configured_at == configured_at and self.described == self.changes


@attrs.define(eq=False)
class Catalogue:
    """Made by `load`. `version` changes with everything that a list could show.

    `on_state` hears of each server that is doing better or worse.
    """

    _database: Database
    _servers: McpServers
    patience: float
    listener: Listener = lambda name, message: None
    on_state: Callable[[str], object] = lambda name: None
    retry: float = RETRY
    version: int = 0
    filters: dict[str, frozenset[str]] = attrs.field(factory=dict)
    _shelves: dict[str, Shelf] = attrs.field(factory=dict)
    _is_closed: bool = False

    @classmethod
    async def load(cls, database: Database, servers: McpServers, patience: float) -> Self:
        """`patience` is how many seconds a list waits for a server that must be asked."""
        catalogue = cls(database, servers, patience)
        async with database.transaction() as db:
            await store.delete_unknown(db)
            rows = await store.list_all(db)
            filters = await store.filters(db)
        catalogue.filters = {name: frozenset(tools) for name, tools in filters.items()}
        kept = {row["server_name"]: row for row in rows}
        for known in servers.known():
            shelf = catalogue._shelf(known)
            if row := kept.get(known.server.name):
                shelf.description = from_text(row["description"])
                shelf.configured_at, shelf.described = row["configured_at"], shelf.changes
                if not known.server.pins.sights and shelf.configured_at == known.updated_at:
                    tools = [item.text for item in shelf.description.tools]
                    await known.server.pins.observe(tools, NO_ABILITIES, is_whole=True)
        servers.watch(catalogue._servers_changed)
        return catalogue

    def now(self, client: Abilities = NO_ABILITIES) -> dict[str, Description]:
        """What is known of the enabled servers, without waiting for anybody."""
        return {
            shelf.server.name: offered
            for shelf in map(self._shelf, self._enabled())
            if (offered := shelf.offers(client)) is not None
        }

    async def all(self) -> tuple[dict[str, Description], dict[str, str]]:
        """What every enabled server offers, and why some are left out. Waits for no server for long."""
        waiting = [task for known in self._enabled() if (task := self._ask(known, self.patience)) is not None]
        if waiting:
            await asyncio.wait(waiting, timeout=self.patience)
        return self.now(), self._problems(self.patience)

    async def soon(
        self, wants: Callable[[str], bool], patience: float
    ) -> tuple[dict[str, Description], dict[str, str]]:
        """As `all`, of the servers that `wants`; who failed to tell is asked again, and not waited for.

        Who runs is asked again in the background: not every server says that its tools have changed.
        """
        wanted = [known for known in self._enabled() if wants(known.server.name)]
        waiting = [task for known in wanted if (task := self._ask(known, patience)) is not None]
        if waiting:
            await asyncio.wait(waiting, timeout=patience)
        for known in wanted:
            shelf = self._shelf(known)
            if known.server.is_running and shelf.asking is None and not self._is_closed:
                self._ask_now(shelf, known.updated_at)
        names = {known.server.name for known in wanted}
        found, problems = self.now(), self._problems(patience)
        return (
            {name: found[name] for name in found.keys() & names},
            {name: problems[name] for name in problems.keys() & names},
        )

    async def of(self, name: str) -> Description:
        """One server's, asked when it is not known. Raises GatewayError."""
        server = self._servers.find(name)
        known = next(known for known in self._servers.known() if known.server is server)
        shelf = self._shelf(known)
        if shelf.description is None or not shelf.is_fresh(known.updated_at):
            await asyncio.shield(shelf.asking or self._ask_now(shelf, known.updated_at))
        if shelf.error is not None:
            raise shelf.error
        offered = shelf.offers()
        if offered is None:
            raise UpstreamUnavailable(f"The MCP server {name} was stopped meanwhile", name=name)
        return offered

    def held_back(self, name: str) -> list[str]:
        """The tools of a server that are new or changed, by its own names."""
        return sorted(self._servers.find(name).pins.held)

    def refusal(self, name: str, visibility: Visibility) -> ToolHeldBack | None:
        """Why there is no tool of this name on /mcp, when there would be one."""
        for known in self._enabled():
            server, pins = known.server.name, known.server.pins
            for held in pins.held if visibility.shows_server(server) else ():
                if name in (held, qualified(server, held)):
                    return held_back(server, held, pins)
        return None

    async def allow(self, name: str, tools: list[str] | None) -> None:
        """Offer only these tools of a server on; None: all of them. Raises NotFound."""
        self._servers.find(name)
        async with self._database.transaction() as db:
            await store.put_filter(db, name, tools)
        if tools is None:
            self.filters.pop(name, None)
        else:
            self.filters[name] = frozenset(tools)
        self._changed(name)

    async def close(self) -> None:
        self._is_closed = True
        tasks = [shelf.asking for shelf in self._shelves.values() if shelf.asking is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _enabled(self) -> list[Known]:
        return [known for known in self._servers.known() if known.server.is_enabled]

    def _shelf(self, known: Known) -> Shelf:
        shelf = self._shelves.get(known.server.name)
        if shelf is None or shelf.server is not known.server:
            shelf = self._shelves[known.server.name] = Shelf(known.server)
            known.server.watchers.append(self._hear)
            known.server.on_state = lambda name: self.on_state(name)
        return shelf

    def _ask(self, known: Known, patience: float) -> asyncio.Task[None] | None:
        """The asking that a list may wait for, if any: of none that failed to tell the last time."""
        shelf = self._shelf(known)
        if shelf.is_fresh(known.updated_at) or self._is_closed:
            return None
        now = time.monotonic()
        is_due = now - shelf.asked_at > self.retry or shelf.asked_for != known.updated_at
        if shelf.asking is None and is_due:
            self._ask_now(shelf, known.updated_at)
        return shelf.asking if shelf.error is None and now - shelf.asked_at < patience else None

    def _ask_now(self, shelf: Shelf, configured_at: str) -> asyncio.Task[None]:
        if shelf.asked_for != configured_at:
            shelf.asked_for, shelf.error = configured_at, None
        shelf.asked_at = time.monotonic()
        shelf.asking = asyncio.create_task(self._try_to_describe(shelf, configured_at))
        return shelf.asking

    async def _try_to_describe(self, shelf: Shelf, configured_at: str) -> None:
        try:
            await self._describe(shelf, configured_at)
            shelf.error = None
            shelf.asked_at = float("-inf")
        except GatewayError as error:
            shelf.error = error
            log.warning("The MCP server %s is left out of /mcp: %s", shelf.server.name, error.message)
        finally:
            shelf.asking = None

    async def _describe(self, shelf: Shelf, configured_at: str) -> None:
        upstream = await shelf.server.shared()
        changes = shelf.changes
        description = await describe(upstream, shelf.server.initialized)
        if upstream.dialogue.gate is not None:
            await upstream.dialogue.gate.saw(item.text for item in description.tools)
        is_announced = shelf.described != shelf.changes and shelf.description is not None
        shelf.described, is_same = changes, description == shelf.description
        if is_same and shelf.configured_at == configured_at:
            return
        shelf.description, shelf.configured_at = description, configured_at
        row = store.Row(
            server_name=shelf.server.name, configured_at=configured_at, description=to_text(description)
        )
        async with self._database.transaction() as db:
            await store.put(db, row)
        self.version += 1
        if not is_announced and not is_same:
            self.listener(shelf.server.name, None)

    def _problems(self, patience: float) -> dict[str, str]:
        late = f"It did not say what it offers within {patience:g} seconds"
        return {
            shelf.server.name: shelf.error.message if shelf.error is not None else late
            for shelf in map(self._shelf, self._enabled())
            if shelf.description is None
        }

    def _hear(self, name: str, message: Message | None) -> None:
        """A server started, or said something about itself."""
        shelf = self._shelves.get(name)
        if shelf is None:
            return
        if message is not None:
            if b"list_changed" in bytes(message["method"]):
                shelf.changes += 1
                self.version += 1
            self.listener(name, message)
        elif shelf.asking is None and not self._is_closed:
            self._ask_now(shelf, self._servers.get(name).updated_at)

    def _servers_changed(self) -> None:
        """One came, went, or was switched on or off."""
        names = {known.server.name for known in self._servers.known()}
        for name in self._shelves.keys() - names:
            self._shelves.pop(name)
            self.filters.pop(name, None)
        for known in self._servers.known():
            self._shelf(known)
        self._changed("")

    def _changed(self, name: str) -> None:
        self.version += 1
        self.listener(name, None)


@asynccontextmanager
async def open_catalogue(
    database: Database, servers: McpServers, patience: float
) -> AsyncIterator[Catalogue]:
    catalogue = await Catalogue.load(database, servers, patience)
    try:
        yield catalogue
    finally:
        await catalogue.close()

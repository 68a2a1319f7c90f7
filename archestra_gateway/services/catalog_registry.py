"""What is cached of the public registry, and how it is kept up to date: beside requests, never within."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import msgspec

from archestra_gateway import timestamp
from archestra_gateway.catalog.server_json import NAME
from archestra_gateway.catalog.text import plain
from archestra_gateway.errors import GatewayError, InvalidRequest, UpstreamError
from archestra_gateway.schemas.catalog import RegistryState
from archestra_gateway.services.catalog_search import words_of
from archestra_gateway.store import catalog as store
from archestra_gateway.store.database import Database
from archestra_gateway.upstreams.mcp_registry import McpRegistry, open_registry

log = logging.getLogger(__name__)

LARGEST_DOCUMENT = 64 * 1024
KEPT = (
    "name",
    "title",
    "description",
    "version",
    "packages",
    "remotes",
    "repository",
    "websiteUrl",
)
OFFICIAL = "io.modelcontextprotocol.registry/official"
OVERLAP = timedelta(minutes=5)
WHOLE_PASS = timedelta(days=7)
PATIENCE = timedelta(minutes=10)
"""Between two attempts of which the first one failed."""
LONGEST_PASS = 900.0


@attrs.define(eq=False)
class RegistryCache:
    """Made by `open_registry_cache`. An empty `url` is no registry at all."""

    url: str
    _interval: float
    _database: Database
    most_pages: int = 1000
    _task: asyncio.Task[None] | None = None
    _attempted_at: str = ""

    async def state(self) -> RegistryState:
        async with self._database.read() as db:
            known = await store.get_registry(db)
            is_same = known is not None and known["url"] == self.url
            return RegistryState(
                url=self.url or None,
                servers=await store.count_all(db) if is_same else 0,
                is_refreshing=self._task is not None and not self._task.done(),
                refreshed_at=known["refreshed_at"] if known and is_same else None,
                problem=known["problem"] if known and is_same else None,
            )

    async def refresh(self) -> None:
        """What is new there, by the time this returns. Raises GatewayError."""
        if not self.url:
            raise InvalidRequest("There is no registry: catalog.registry_url is empty")
        await asyncio.shield(self._running())

    async def refresh_when_stale(self) -> None:
        """Begins to, and does not wait for it."""
        if self.url and _is_before(self._attempted_at, PATIENCE):
            state = await self.state()
            if state.refreshed_at is None or _is_before(
                state.refreshed_at, timedelta(seconds=self._interval)
            ):
                self._running().add_done_callback(_told)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _running(self) -> "asyncio.Task[None]":
        """One at a time, whoever asks for it."""
        if self._task is None or self._task.done():
            self._attempted_at = timestamp.now()
            self._task = asyncio.create_task(self._refresh())
        return self._task

    async def _refresh(self) -> None:
        async with self._database.read() as db:
            known = await store.get_registry(db)
        if known is None or known["url"] != self.url:
            known = store.Registry(url=self.url, since=None, swept_at=None, refreshed_at=None, problem=None)
            await self._note(known)
        is_whole = known["since"] is None or _is_before(known["swept_at"] or "", WHOLE_PASS)
        sweep = timestamp.now()
        try:
            async with asyncio.timeout(LONGEST_PASS), open_registry(self.url) as registry:
                begun = await self._read(registry, None if is_whole else known["since"], sweep)
        except TimeoutError as error:
            await self._note({**known, "problem": "The registry took too long"})
            raise UpstreamError("The registry took too long") from error
        except GatewayError as error:
            await self._note({**known, "problem": error.message})
            raise
        swept_at = sweep if is_whole else known["swept_at"]
        await self._note(
            store.Registry(url=self.url, since=begun, swept_at=swept_at, refreshed_at=sweep, problem=None),
            unseen=sweep if is_whole else None,
        )

    async def _read(self, registry: McpRegistry, since: str | None, sweep: str) -> str:
        """Every page into the database; from when on there may be news the next time."""
        cursor, begun, seen = None, "", set[str]()
        for _ in range(self.most_pages):
            page = await registry.page(cursor, since)
            begun = begun or timestamp.from_seconds((page.date - OVERLAP).timestamp())
            await self._take(page.servers, sweep)
            cursor = page.next_cursor
            if cursor is None:
                return begun
            if cursor in seen:
                raise UpstreamError("The registry answers with one page over and over")
            seen.add(cursor)
        raise UpstreamError(f"The registry answered with more than {self.most_pages} pages")

    async def _take(self, answers: Iterable[dict[str, Any]], sweep: str) -> None:
        rows = [row for answer in answers if (row := row_of(answer, sweep))]
        async with self._database.transaction() as db:
            await store.put(db, (row for row in rows if row["status"] != "deleted"))
            await store.delete(db, (row["name"] for row in rows if row["status"] == "deleted"))

    async def _note(self, registry: store.Registry, unseen: str | None = None) -> None:
        async with self._database.transaction() as db:
            await store.put_registry(db, registry)
            if unseen:
                await store.delete_unseen(db, unseen)


def row_of(answer: dict[str, Any], sweep: str) -> store.NewRow | None:
    """A `ServerResponse` of the registry as a row; None for what is none."""
    server, meta = answer.get("server"), answer.get("_meta")
    if not isinstance(server, dict) or not isinstance(name := server.get("name"), str):
        return None
    if len(name) > 200 or not NAME.fullmatch(name):
        return None
    official = meta.get(OFFICIAL) if isinstance(meta, dict) else None
    status = official.get("status") if isinstance(official, dict) else "active"
    document = msgspec.json.encode({key: server[key] for key in KEPT if key in server})
    if len(document) > LARGEST_DOCUMENT:
        return None
    title = plain(server.get("title"), 100)
    label = words_of(f"{name.rpartition('/')[2]} {title}")
    return store.NewRow(
        name=name,
        label=" ".join(label),
        text=" ".join([*label, *words_of(plain(server.get("description"), 300))]),
        document=document.decode(),
        status=status if status in ("deprecated", "deleted") else "active",
        sweep=sweep,
    )


def _is_before(moment: str, age: timedelta) -> bool:
    return moment < timestamp.from_seconds((datetime.now(UTC) - age).timestamp())


def _told(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("The MCP registry could not be read: %s", error)


@asynccontextmanager
async def open_registry_cache(url: str, interval: float, database: Database) -> AsyncIterator[RegistryCache]:
    cache = RegistryCache(url.rstrip("/"), interval, database)
    try:
        yield cache
    finally:
        await cache.close()

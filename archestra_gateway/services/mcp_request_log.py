"""The request log: takes what every MCP and LLM call looked like, and answers questions about it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypedDict

import aiosqlite
import attrs

from archestra_gateway.config import RequestLogConfig
from archestra_gateway.errors import NotFound
from archestra_gateway.log import Redactor
from archestra_gateway.services.mcp_request_log_row import Entry
from archestra_gateway.services.mcp_request_log_stats import Stats, summarise
from archestra_gateway.services.mcp_request_log_writer import DELETE_AT_ONCE, Writer, delete_some
from archestra_gateway.store import mcp_request_log as store
from archestra_gateway.store.database import Database
from archestra_gateway.store.mcp_request_log import BEGINNING, END, Cell, Cursor, Filters

__all__ = ["Entry", "RequestLog"]

COUNTED = 10_000
"""Rows are counted, and summed up where no hour's sums can answer, no further than this."""
ANSWERED_BY_HOURS = {"server_name", "kind", "start_time", "end_time"}
HOUR = slice(0, len("2026-11-25T01"))


class Counters(TypedDict):
    waiting: int
    written: int
    overflowed: int
    failed: int


class Page(TypedDict):
    data: list[dict[str, Any]]
    total: int
    total_is_exact: bool
    page: int | None
    page_size: int
    next_cursor: str | None


class StatsAnswer(Stats):
    is_exact: bool


@attrs.frozen
class RequestLog:
    """Whoever asks sees every call that was recorded before; `listeners` hear of each at once."""

    database: Database
    redactor: Redactor
    config: RequestLogConfig
    listeners: list[Callable[[Entry], object]] = attrs.field(factory=list, init=False)
    _writer: Writer = attrs.field(init=False)

    @_writer.default
    def _make_writer(self) -> Writer:
        return Writer(self.database, self.redactor, self.config)

    @property
    def body_limit(self) -> int:
        """Bytes of a body that are kept; a producer need not hold more than one byte beyond."""
        return self.config.max_body

    def record(self, entry: Entry) -> None:
        """Never waits, never raises."""
        if self.config.enabled:
            self._writer.put(entry)
            for listener in self.listeners:
                listener(entry)

    def counters(self) -> Counters:
        writer = self._writer
        return {
            "waiting": writer.waiting,
            "written": writer.written,
            "overflowed": writer.overflowed,
            "failed": writer.failed,
        }

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What was recorded within the block is in the database after it."""
        async with self._writer.running():
            yield

    async def list_page(
        self, filters: Filters, page_size: int, *, page: int = 1, cursor: str | None = None
    ) -> Page:
        """Newest first, by number or from another page's `next_cursor` on."""
        await self._writer.flush()
        place = _place_after(cursor) if cursor else None
        offset = 0 if cursor else (page - 1) * page_size
        async with self.database.read() as db:
            rows = await store.list_page(db, filters, page_size + 1, offset=offset, cursor=place)
            total = await store.count(db, filters, COUNTED + 1)
        data = rows[:page_size]
        return {
            "data": data,
            "total": min(total, COUNTED),
            "total_is_exact": total <= COUNTED,
            "page": None if cursor else page,
            "page_size": page_size,
            "next_cursor": _cursor_after(data[-1]) if len(rows) > page_size else None,
        }

    async def get(self, request_id: str) -> dict[str, Any]:
        """The call with its headers and bodies. Raises NotFound."""
        await self._writer.flush()
        async with self.database.read() as db:
            row = await store.get(db, request_id)
        if row is None:
            raise NotFound("The request log has no call with this request id", request_id=request_id)
        return row

    async def stats(self, filters: Filters) -> StatsAnswer:
        """Over all calls; over the newest COUNTED where only the rows themselves can answer."""
        await self._writer.flush()
        by_hour = filters.keys() <= ANSWERED_BY_HOURS
        async with self.database.read() as db:
            if by_hour:
                stats = summarise(await _cells_by_hour(db, filters))
            else:
                stats = summarise(await store.cells_of_rows(db, filters, COUNTED))
        return {**stats, "is_exact": by_hour or stats["total_requests"] < COUNTED}

    async def uses(self, server_name: str) -> dict[str, store.Use]:
        """How often each tool of a server was called."""
        await self._writer.flush()
        async with self.database.read() as db:
            return {use["tool_name"]: use for use in await store.uses(db, server_name)}

    async def delete(self, before: str | None = None) -> int:
        """Deletes the calls from before a time, or every call; gives how many they were."""
        await self._writer.flush()
        deleted = chunk = await delete_some(self.database, before or END)
        while chunk == DELETE_AT_ONCE:
            chunk = await delete_some(self.database, before or END)
            deleted += chunk
        return deleted


def _cursor_after(row: dict[str, Any]) -> str:
    return f"{row['timestamp']}_{row['id']}"


def _place_after(cursor: str) -> Cursor:
    moment, number = cursor.split("_")
    return {"cursor_timestamp": moment, "cursor_id": int(number)}


async def _cells_by_hour(db: aiosqlite.Connection, filters: Filters) -> list[Cell]:
    """Sums of the whole hours, and of the rows in the two hours that `start_time` and `end_time` cut."""
    start, end = filters.get("start_time", BEGINNING), filters.get("end_time", END)
    first, last = start[HOUR], end[HOUR]
    cells = await store.cells_of_hours(db, first, last, filters.get("server_name"), filters.get("kind"))
    cuts = [(start, end)] if first == last else [(start, f"{first};"), (f"{last}:", end)]  # ":" < ";"
    for start, end in cuts:
        cells += await store.cells_of_rows(db, {**filters, "start_time": start, "end_time": end})
    return cells

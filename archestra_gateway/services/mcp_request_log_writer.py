"""The write-behind of the request log: a bounded queue, and one task that empties it into the database."""

import asyncio
import logging
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import attrs

from archestra_gateway import timestamp
from archestra_gateway.config import RequestLogConfig
from archestra_gateway.log import Redactor
from archestra_gateway.services.mcp_request_log_row import Entry, to_row
from archestra_gateway.store import mcp_request_log as store
from archestra_gateway.store.database import Database

log = logging.getLogger(__name__)

BATCH = store.PIECES[0]
SLICE = 40
"""Entries made into rows before the loop gets its turn: a quarter of a millisecond or so."""
SLICES = 50
"""Turns of the loop that a queue takes at most, so that a busy loop does not leave the log behind."""
PAUSE = 0.2
QUEUE_BYTES = 64 * 1024 * 1024
RETRIES = (0.05, 0.2, 1.0)
STOP_TIMEOUT = 5.0
RETENTION_PAUSE = 3600.0
DELETE_AT_ONCE = 2000
DAY = 86400.0


@attrs.define(eq=False)
class Writer:
    """Whatever `put` accepted is written, or counted as failed; the call itself never waits for that."""

    database: Database
    redactor: Redactor
    config: RequestLogConfig
    written: int = 0
    overflowed: int = 0
    failed: int = 0
    _queue: deque[Entry] = attrs.field(factory=deque)
    _bytes: int = 0
    _waiting: asyncio.Event = attrs.field(factory=asyncio.Event)
    _hurry: asyncio.Event = attrs.field(factory=asyncio.Event)
    _flushes: list[asyncio.Future[None]] = attrs.field(factory=list)
    _is_running: bool = False

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def put(self, entry: Entry) -> None:
        """Costs a microsecond; on an overflow the newest are the ones that go."""
        queue = self._queue
        if len(queue) >= self.config.queue or self._bytes > QUEUE_BYTES:
            self.overflowed += 1
            return
        queue.append(entry)
        self._bytes += len(entry.request_body) + len(entry.response_body)
        if len(queue) == 1:
            self._waiting.set()
        elif len(queue) >= BATCH:
            self._hurry.set()

    async def flush(self) -> None:
        """Returns when everything that was put before is in the database (or counted as failed)."""
        if self._waiting.is_set() and self._is_running:
            done = asyncio.get_running_loop().create_future()
            self._flushes.append(done)
            self._hurry.set()
            await done

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Writes while the block runs, and what is left at its end."""
        self._is_running = True
        task = asyncio.create_task(self._run(), name="request log writer")
        try:
            yield
        finally:
            self._is_running = False
            self._waiting.set()
            self._hurry.set()
            try:
                await asyncio.wait_for(task, STOP_TIMEOUT)
            except TimeoutError:
                log.error("The last calls could not be written to the request log within %s s", STOP_TIMEOUT)

    async def _run(self) -> None:
        try:
            while self._is_running:
                await self._forget_old()
                forget_at = time.monotonic() + RETENTION_PAUSE
                while self._is_running and time.monotonic() < forget_at:
                    await _wait(self._waiting, RETENTION_PAUSE)
                    await _wait(self._hurry, PAUSE)
                    await self._write_waiting()
            while self._queue:
                await self._write_waiting()
        finally:
            self._answer(self._flushes)

    async def _write_waiting(self) -> None:
        """One round: what waits now and nothing that comes meanwhile, so that a flush ends under load too."""
        flushes, self._flushes = self._flushes, []
        self._hurry.clear()
        left = len(self._queue)
        if left > BATCH and not flushes:
            left -= left % BATCH  # the rest has its turn soon, or becomes a batch as well
        while left > 0:
            count = min(left, BATCH)
            if rows := await self._next_rows(count):
                await self._write(rows)
            left -= count
        self._answer(flushes)
        if self._flushes:
            self._hurry.set()
        elif not self._queue:
            self._waiting.clear()

    async def _next_rows(self, count: int) -> list[dict[str, Any]]:
        rows = []
        pause = max(SLICE, len(self._queue) // SLICES)
        for number in range(count):
            entry = self._queue.popleft()
            self._bytes -= len(entry.request_body) + len(entry.response_body)
            try:
                rows.append(to_row(entry, self.redactor, self.config.max_body))
            except Exception:
                self._give_up(1, entry.request_id)
            if number % pause == pause - 1:
                await asyncio.sleep(0)
        return rows

    async def _write(self, rows: Sequence[dict[str, Any]]) -> None:
        """One row that the database refuses does not take its neighbours along."""
        try:
            await self._insert(rows)
            self.written += len(rows)
        except Exception as error:
            if len(rows) == 1 or isinstance(error, sqlite3.OperationalError):
                self._give_up(len(rows), rows[0]["request_id"])
            else:
                for row in rows:
                    await self._write([row])

    async def _insert(self, rows: Sequence[dict[str, Any]]) -> None:
        for pause in (*RETRIES, None):
            try:
                async with self.database.transaction() as db:
                    await store.insert_many(db, rows)
            except sqlite3.OperationalError:  # a full disk, a lock that somebody else holds
                if pause is None:
                    raise
                await asyncio.sleep(pause)
            else:
                break

    def _give_up(self, count: int, request_id: str) -> None:
        self.failed += count
        log.exception("%d calls could not be written to the request log, the first is %s", count, request_id)

    async def _forget_old(self) -> None:
        """In small transactions, between which waiting calls are written."""
        if not self.config.retention_days:
            return
        before = timestamp.from_seconds(time.time() - self.config.retention_days * DAY)
        try:
            while self._is_running and await delete_some(self.database, before) == DELETE_AT_ONCE:
                await self._write_waiting()
        except sqlite3.Error:
            log.exception("Old calls could not be deleted from the request log")

    @staticmethod
    def _answer(flushes: list[asyncio.Future[None]]) -> None:
        for done in flushes:
            if not done.done():
                done.set_result(None)


async def delete_some(database: Database, before: str) -> int:
    """Deletes at most DELETE_AT_ONCE of the oldest rows, so that other writers get their turn."""
    async with database.transaction() as db:
        return await store.delete_oldest(db, before, DELETE_AT_ONCE)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()

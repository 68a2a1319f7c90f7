"""Writes what runs stream into the database while they do: often, and many frames at once."""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator

import attrs

from archestra_gateway.services.agent_run import Run
from archestra_gateway.store import agent_run as store
from archestra_gateway.store.database import Database

log = logging.getLogger(__name__)

PAUSE = 0.05
"""Seconds between two writes. A killed gateway has lost what came in these and during one write."""
RETRY = 1.0


@attrs.define(eq=False)
class FrameWriter:
    """What could not be written stays in memory and is tried again."""

    _database: Database
    _changed: dict[str, Run] = attrs.field(factory=dict)
    _wake: asyncio.Event = attrs.field(factory=asyncio.Event)
    _lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    def put(self, run: Run) -> None:
        """There is something new in `run`."""
        if run.id not in self._changed:
            self._changed[run.id] = run
            self._wake.set()

    async def flush(self) -> bool:
        """Everything that was put before is written; False when the database refused it."""
        async with self._lock:
            runs, self._changed = list(self._changed.values()), {}
            self._wake.clear()
            batches = [(run, batch) for run in runs if (batch := run.unwritten()) is not None]
            rows = [{"run_id": run.id, **attrs.asdict(batch)} for run, batch in batches]
            if not rows:
                return True
            try:
                async with self._database.transaction() as db:
                    await store.insert_frames(db, rows)
            except sqlite3.Error:
                log.exception("What %d chats streamed could not be written", len(rows))
                self._changed = {run.id: run for run, _ in batches} | self._changed
                self._wake.set()
                return False
            for run, batch in batches:
                run.wrote(batch.last)
            return True

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._write_for_ever(), name="agent writer")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await self.flush()

    async def _write_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(PAUSE)
            if not await self.flush():
                await asyncio.sleep(RETRY)

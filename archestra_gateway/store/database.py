"""The database: one writer behind a lock, readers beside it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiosqlite
import attrs

PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA temp_store = MEMORY",
)
READERS = 2


async def connect(path: Path) -> aiosqlite.Connection:
    """A connection on which `BEGIN` is ours to say."""
    connection = await aiosqlite.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    for pragma in PRAGMAS:
        await connection.execute(pragma)
    return connection


@attrs.frozen
class Database:
    """Opened once by `open_database`."""

    path: Path
    _writer: aiosqlite.Connection
    _lock: asyncio.Lock
    _readers: asyncio.Queue[aiosqlite.Connection]

    @asynccontextmanager
    async def read(self) -> AsyncIterator[aiosqlite.Connection]:
        """A connection for statements that change nothing."""
        reader = await self._readers.get()
        try:
            yield reader
        finally:
            self._readers.put_nowait(reader)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """All of the block or nothing of it, even when the request that runs it is cancelled."""
        async with self._lock:
            try:
                await self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
            except BaseException:
                await asyncio.shield(self._undo())
                raise
            else:
                await asyncio.shield(self._writer.execute("COMMIT"))

    async def _undo(self) -> None:
        if self._writer.in_transaction:
            await self._writer.execute("ROLLBACK")


@asynccontextmanager
async def open_database(path: Path) -> AsyncIterator[Database]:
    """The migrated database file at `path`, mode 0600."""

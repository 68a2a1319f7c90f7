"""The database: one writer behind a lock, readers beside it."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite
import attrs

from archestra_gateway.errors import DatabaseRefused
from archestra_gateway.store.migrate import migrate

PRAGMAS = (
    "PRAGMA busy_timeout = 5000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA journal_size_limit = 67108864",
)
QUERY_ONLY = "PRAGMA query_only = ON"
TRUNCATE_LOG = "PRAGMA wal_checkpoint(TRUNCATE)"
READERS = 3


@attrs.frozen
class Database:
    """Opened once by `open_database`; `is_new` when that call made the first table."""

    path: Path
    is_new: bool
    _writer: aiosqlite.Connection
    _readers: asyncio.Queue[aiosqlite.Connection]
    _lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)

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
        """All of the block or nothing of it, even when the request that runs it is cancelled.

        The connection's thread works first in, first out: the rollback stands behind a BEGIN or COMMIT whose
        waiter was cancelled, looks for an open transaction only then, and stands before the next BEGIN.
        """
        async with self._lock:
            try:
                await self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                await self._writer.execute("COMMIT")
            except BaseException:
                await self._writer.rollback()
                raise

    async def truncate_log(self) -> None:
        """Takes out of the write-ahead log what was deleted in the database."""
        async with self._lock:
            await self._writer.execute_fetchall(TRUNCATE_LOG)


@asynccontextmanager
async def open_database(path: Path) -> AsyncIterator[Database]:
    """The migrated database file at `path`, mode 0600. Raises DatabaseRefused when it can not be used."""
    _make_private(path)
    is_new = await asyncio.to_thread(migrate, path)
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(_connection(path))
        readers: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()
        for _ in range(READERS):
            reader = await stack.enter_async_context(_connection(path))
            await reader.execute(QUERY_ONLY)
            stack.push_async_callback(reader.interrupt)  # a long read does not hold up the end
            readers.put_nowait(reader)
        yield Database(path, is_new, writer, readers)


async def fetch_all(
    db: aiosqlite.Connection, sql: str, parameters: Mapping[str, Any] = {}
) -> list[dict[str, Any]]:
    """Every row as a plain dict; the statement is finished when this returns."""
    return [dict(row) for row in await db.execute_fetchall(sql, parameters)]


async def fetch_one(
    db: aiosqlite.Connection, sql: str, parameters: Mapping[str, Any] = {}
) -> dict[str, Any] | None:
    """The first row as a plain dict."""
    rows = await fetch_all(db, sql, parameters)
    return rows[0] if rows else None


@asynccontextmanager
async def _connection(path: Path) -> AsyncIterator[aiosqlite.Connection]:
    """A connection on which `BEGIN` is ours to say."""
    async with aiosqlite.connect(path, isolation_level=None) as connection:
        connection.row_factory = sqlite3.Row
        for pragma in PRAGMAS:
            await connection.execute(pragma)
        yield connection


def _make_private(path: Path) -> None:
    """SQLite gives -wal and -shm the mode of the database, so the file is made before SQLite makes it."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            if file.exists():
                file.chmod(0o600)
    except OSError as error:
        raise DatabaseRefused(f"The database {path} can not be opened: {error.strerror}") from error

"""Transactions are whole or nothing, whatever happens to the request that runs them."""

import asyncio
import random
import sqlite3
from pathlib import Path

import pytest

from archestra_gateway.store.database import Database, fetch_all, fetch_one, open_database

INSERT = "INSERT INTO pair (half, amount) VALUES (:half, :amount)"
UNBALANCED = "SELECT total(amount) AS balance, count(*) AS rows FROM pair"


async def make_pairs(database: Database) -> None:
    async with database.transaction() as db:
        await db.execute("CREATE TABLE pair (half INTEGER, amount INTEGER) STRICT")


async def transfer(database: Database, amount: int) -> None:
    async with database.transaction() as db:
        await db.execute(INSERT, {"half": 1, "amount": amount})
        await asyncio.sleep(0)
        await db.execute(INSERT, {"half": 2, "amount": -amount})


async def balance(database: Database) -> dict[str, float]:
    async with database.read() as db:
        row = await fetch_one(db, UNBALANCED)
    assert row is not None
    return row


async def test_a_block_that_fails_leaves_nothing(database: Database) -> None:
    await make_pairs(database)

    async def fail_half_way() -> None:
        async with database.transaction() as db:
            await db.execute(INSERT, {"half": 1, "amount": 7})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_half_way()

    assert await balance(database) == {"balance": 0, "rows": 0}


async def test_a_commit_that_fails_leaves_nothing_and_the_writer_whole(database: Database) -> None:
    async def orphan() -> None:
        async with database.transaction() as db:
            await db.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
            await db.execute("CREATE TABLE child (parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
            await db.execute("INSERT INTO child VALUES (1)")

    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        await orphan()

    await make_pairs(database)
    async with database.read() as db:
        assert await fetch_all(db, "SELECT name FROM sqlite_schema WHERE name IN ('parent', 'child')") == []


async def test_hundreds_of_cancelled_requests_leave_the_writer_whole_and_nothing_half_written(
    database: Database,
) -> None:
    await make_pairs(database)
    chance = random.Random(2)
    finished = 0

    async def cancelled_somewhere(amount: int) -> bool:
        task = asyncio.create_task(transfer(database, amount))
        for _ in range(chance.randrange(12)):
            await asyncio.sleep(chance.choice((0, 0, 0.0002)))
        for _ in range(chance.randrange(3)):
            task.cancel()
            await asyncio.sleep(0)
        try:
            await task
        except asyncio.CancelledError:
            return False
        return True

    async def look_on() -> None:
        while finished < 600:
            assert (await balance(database))["balance"] == 0
            await asyncio.sleep(0)

    readers = [asyncio.create_task(look_on()) for _ in range(3)]
    outcomes: list[bool] = []
    for start in range(0, 600, 20):
        outcomes += await asyncio.gather(*(cancelled_somewhere(n) for n in range(start, start + 20)))
        finished += 20
    await asyncio.gather(*readers)

    seen = await balance(database)
    assert seen["balance"] == 0
    assert seen["rows"] >= 2 * sum(outcomes)
    assert 50 < sum(outcomes) < 550
    await transfer(database, 1)
    assert (await balance(database))["rows"] == seen["rows"] + 2


async def test_a_cancelled_reader_gives_its_connection_back(database: Database) -> None:
    for _ in range(20):
        task = asyncio.create_task(balance_of_nothing(database))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async with (
        asyncio.timeout(5),
        database.read() as first,
        database.read() as second,
        database.read() as third,
    ):
        for reader in (first, second, third):
            assert await fetch_all(reader, "SELECT 1 AS one") == [{"one": 1}]


async def balance_of_nothing(database: Database) -> None:
    async with database.read() as db:
        await fetch_all(db, "SELECT count(*) FROM mcp_server")


async def test_readers_can_not_write(database: Database) -> None:
    async with database.read() as db:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await db.execute("DELETE FROM mcp_server")


def modes_in(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in folder.glob("private.db*")}


async def test_only_the_owner_may_look_at_the_files(tmp_path: Path) -> None:
    path = tmp_path / "private.db"

    async with open_database(path) as database:
        await make_pairs(database)
        modes = modes_in(tmp_path)

    assert modes == {"private.db": 0o600, "private.db-wal": 0o600, "private.db-shm": 0o600}


async def test_a_database_is_new_once(tmp_path: Path) -> None:
    async with open_database(tmp_path / "gateway.db") as database:
        assert database.is_new

    async with open_database(tmp_path / "gateway.db") as database:
        assert not database.is_new


async def test_closing_does_not_wait_for_a_long_read(tmp_path: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

    async def read_for_ever(database: Database) -> None:
        async with database.read() as db:
            await fetch_all(db, endless)

    async with asyncio.timeout(10):
        async with open_database(tmp_path / "gateway.db") as database:
            reading = asyncio.create_task(read_for_ever(database))
            await asyncio.sleep(0.05)
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            await reading

"""The vault: values go in readable and lie there sealed, each bound to its place, through every new key."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from archestra_gateway.services.vault import Unreadable, Vault, open_vault
from archestra_gateway.services.vault_key import FILE, KeyRefused
from archestra_gateway.store.database import Database

VALUE = "canary-value-of-a-secret"


async def put(database: Database, vault: Vault, owner: str, name: str, value: str = VALUE) -> None:
    async with database.transaction() as db:
        await vault.put(db, owner, name, value)


async def get(database: Database, vault: Vault, owner: str, name: str) -> str | None:
    async with database.read() as db:
        return await vault.get(db, owner, name)


def files_with(folder: Path, value: str) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and value.encode() in path.read_bytes()]


async def test_what_is_put_in_comes_out_after_a_restart(database: Database, tmp_path: Path) -> None:
    await put(database, await open_vault(tmp_path, "file"), "mcp_server:a", "values")

    again = await open_vault(tmp_path, "file")

    assert await get(database, again, "mcp_server:a", "values") == VALUE
    assert await get(database, again, "mcp_server:b", "values") is None
    assert files_with(tmp_path, VALUE) == []


async def test_the_key_is_nobody_elses_to_read(tmp_path: Path) -> None:
    vault = await open_vault(tmp_path, "file")

    assert vault.place == "file"
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("column", ["owner", "name", "sealed"])
async def test_a_row_that_was_swapped_is_refused(database: Database, tmp_path: Path, column: str) -> None:
    vault = await open_vault(tmp_path, "file")
    await put(database, vault, "mcp_server:a", "one")
    await put(database, vault, "mcp_server:b", "two", "another value")
    with closing(sqlite3.connect(database.path, isolation_level=None)) as connection:
        rows = connection.execute("SELECT owner, name, sealed FROM secret ORDER BY owner").fetchall()
        connection.execute("DELETE FROM secret")
        index = ["owner", "name", "sealed"].index(column)
        for row, other in zip(rows, reversed(rows), strict=True):
            values = [*row]
            values[index] = other[index]
            connection.execute("INSERT INTO secret VALUES (?, ?, ?, '', '')", values)
        places = connection.execute("SELECT owner, name FROM secret").fetchall()

    for owner, name in places:
        with pytest.raises(Unreadable, match="Set it again"):
            await get(database, vault, owner, name)


@pytest.mark.parametrize("position", [0, 1, 5, 17, -1])
async def test_one_wrong_bit_is_noticed(database: Database, tmp_path: Path, position: int) -> None:
    vault = await open_vault(tmp_path, "file")
    await put(database, vault, "a", "b")
    async with database.transaction() as db:
        (row,) = await db.execute_fetchall("SELECT sealed FROM secret")
        sealed = bytearray(row[0])
        sealed[position] ^= 1
        await db.execute("UPDATE secret SET sealed = ?", [bytes(sealed)])

    with pytest.raises(Unreadable):
        await get(database, vault, "a", "b")


async def test_the_same_value_never_looks_the_same(database: Database, tmp_path: Path) -> None:
    vault = await open_vault(tmp_path, "file")
    for number in range(50):
        await put(database, vault, "a", str(number))

    async with database.read() as db:
        rows = await db.execute_fetchall("SELECT sealed FROM secret")

    assert len({row[0][5:17] for row in rows}) == 50


async def test_a_new_key_opens_what_the_old_one_sealed(database: Database, tmp_path: Path) -> None:
    vault = await open_vault(tmp_path, "file")
    await put(database, vault, "a", "b")
    old = (tmp_path / FILE).read_text()

    count = await vault.rotate(database, tmp_path, "file")

    again = await open_vault(tmp_path, "file")
    assert count == 1
    assert (tmp_path / FILE).read_text() != old
    assert len((tmp_path / FILE).read_text().split()) == 1
    assert [await get(database, each, "a", "b") for each in (vault, again)] == [VALUE, VALUE]
    (tmp_path / FILE).write_text(old)
    with pytest.raises(Unreadable):
        await get(database, await open_vault(tmp_path, "file"), "a", "b")


async def test_a_row_that_no_key_opens_keeps_the_old_keys(database: Database, tmp_path: Path) -> None:
    vault = await open_vault(tmp_path, "file")
    await put(database, vault, "a", "b")
    await put(database, vault, "a", "broken")
    async with database.transaction() as db:
        await db.execute("UPDATE secret SET sealed = x'00' WHERE name = 'broken'")

    assert await vault.rotate(database, tmp_path, "file") == 1
    assert await get(database, await open_vault(tmp_path, "file"), "a", "b") == VALUE
    assert len((tmp_path / FILE).read_text().split()) == 2


@pytest.mark.parametrize("text", ["", "nonsense", "00:AAAA", "keyring gone"])
async def test_a_broken_key_file_is_never_replaced_by_a_new_key(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)

    with pytest.raises(KeyRefused, match="delete"):
        await open_vault(tmp_path, "auto")

    assert (tmp_path / FILE).read_text() == text

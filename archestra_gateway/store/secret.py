"""Sealed values in SQLite: whose they are and what they are called is readable, what they are is not."""

from typing import TypedDict, cast

import aiosqlite

from archestra_gateway.store.database import fetch_all, fetch_one

LIST = """
SELECT owner, name, sealed, created_at, updated_at
FROM secret
ORDER BY owner, name
"""

LIST_OF_OWNER = """
SELECT owner, name, sealed, created_at, updated_at
FROM secret
WHERE owner = :owner
ORDER BY name
"""

GET = """
SELECT owner, name, sealed, created_at, updated_at
FROM secret
WHERE owner = :owner AND name = :name
"""

PUT = """
INSERT INTO secret (owner, name, sealed, created_at, updated_at)
VALUES (:owner, :name, :sealed, :now, :now)
ON CONFLICT (owner, name) DO UPDATE SET sealed = excluded.sealed, updated_at = excluded.updated_at
"""

RESEAL = """
UPDATE secret
SET sealed = :sealed
WHERE owner = :owner AND name = :name
"""

DELETE = """
DELETE FROM secret
WHERE owner = :owner AND name = :name
"""

DELETE_OF_OWNER = """
DELETE FROM secret
WHERE owner = :owner
"""


class Row(TypedDict):
    owner: str
    name: str
    sealed: bytes
    created_at: str
    updated_at: str


async def list_all(db: aiosqlite.Connection) -> list[Row]:
    return [cast(Row, row) for row in await fetch_all(db, LIST)]


async def list_of_owner(db: aiosqlite.Connection, owner: str) -> list[Row]:
    return [cast(Row, row) for row in await fetch_all(db, LIST_OF_OWNER, {"owner": owner})]


async def get(db: aiosqlite.Connection, owner: str, name: str) -> Row | None:
    return cast("Row | None", await fetch_one(db, GET, {"owner": owner, "name": name}))


async def put(db: aiosqlite.Connection, owner: str, name: str, sealed: bytes, now: str) -> None:
    await db.execute(PUT, {"owner": owner, "name": name, "sealed": sealed, "now": now})


async def reseal(db: aiosqlite.Connection, owner: str, name: str, sealed: bytes) -> None:
    """The same value under another key."""
    await db.execute(RESEAL, {"owner": owner, "name": name, "sealed": sealed})


async def delete(db: aiosqlite.Connection, owner: str, name: str) -> bool:
    """False when there is none of that name."""
    async with db.execute(DELETE, {"owner": owner, "name": name}) as cursor:
        return cursor.rowcount == 1


async def delete_of_owner(db: aiosqlite.Connection, owner: str) -> None:
    await db.execute(DELETE_OF_OWNER, {"owner": owner})

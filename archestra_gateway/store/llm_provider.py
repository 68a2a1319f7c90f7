"""LLM providers in SQLite."""

from typing import TypedDict, cast

import aiosqlite

LIST = """
SELECT name, kind, base_url, created_at, updated_at
FROM llm_provider
ORDER BY name
"""

GET = """
SELECT name, kind, base_url, created_at, updated_at
FROM llm_provider
WHERE name = :name
"""

INSERT = """
INSERT INTO llm_provider (name, kind, base_url, created_at, updated_at)
VALUES (:name, :kind, :base_url, :created_at, :updated_at)
ON CONFLICT (name) DO NOTHING
"""

UPDATE = """
UPDATE llm_provider
SET base_url = :base_url, updated_at = :updated_at
WHERE name = :name
"""

DELETE = """
DELETE FROM llm_provider
WHERE name = :name
"""

LIST_PLAIN_KEYS = """
SELECT name, api_key
FROM llm_provider
WHERE api_key IS NOT NULL
"""

FORGET_PLAIN_KEYS = """
UPDATE llm_provider
SET api_key = NULL
"""


class Row(TypedDict):
    name: str
    kind: str
    base_url: str
    created_at: str
    updated_at: str


async def list_all(db: aiosqlite.Connection) -> list[Row]:
    return [cast(Row, dict(row)) for row in await db.execute_fetchall(LIST)]


async def get(db: aiosqlite.Connection, name: str) -> Row | None:
    async with db.execute(GET, {"name": name}) as cursor:
        row = await cursor.fetchone()
    return cast(Row, dict(row)) if row else None


async def insert(db: aiosqlite.Connection, row: Row) -> bool:
    """False when the name is taken."""
    async with db.execute(INSERT, dict(row)) as cursor:
        return cursor.rowcount == 1


async def update(db: aiosqlite.Connection, row: Row) -> None:
    await db.execute(UPDATE, dict(row))


async def delete(db: aiosqlite.Connection, name: str) -> bool:
    """False when there is none of that name."""
    async with db.execute(DELETE, {"name": name}) as cursor:
        return cursor.rowcount == 1


async def list_plain_keys(db: aiosqlite.Connection) -> dict[str, str]:
    """Key by name, as the first version stored them; since then the column is empty."""
    return {row["name"]: row["api_key"] for row in await db.execute_fetchall(LIST_PLAIN_KEYS)}


async def forget_plain_keys(db: aiosqlite.Connection) -> None:
    await db.execute(FORGET_PLAIN_KEYS)

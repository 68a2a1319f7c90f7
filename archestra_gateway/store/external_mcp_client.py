"""External MCP clients in SQLite."""

import json
from typing import Any, TypedDict, cast

import aiosqlite

from archestra_gateway.store.database import fetch_all, fetch_one

LIST = """
SELECT name, config, connected_at, created_at, updated_at
FROM external_mcp_client
ORDER BY name
"""

GET = """
SELECT name, config, connected_at, created_at, updated_at
FROM external_mcp_client
WHERE name = :name
"""

INSERT = """
INSERT INTO external_mcp_client (name, config, connected_at, created_at, updated_at)
VALUES (:name, :config, :connected_at, :created_at, :updated_at)
ON CONFLICT (name) DO NOTHING
"""

UPDATE = """
UPDATE external_mcp_client
SET config = :config, connected_at = :connected_at, updated_at = :updated_at
WHERE name = :name
"""

DELETE = """
DELETE FROM external_mcp_client
WHERE name = :name
"""


LIST_PLAIN = """
SELECT name, token, written
FROM external_mcp_client
WHERE token IS NOT NULL
"""

FORGET_PLAIN = """
UPDATE external_mcp_client
SET token = NULL, written = NULL
"""


class Row(TypedDict):
    name: str
    config: dict[str, Any]
    connected_at: str | None
    created_at: str
    updated_at: str


async def list_all(db: aiosqlite.Connection) -> list[Row]:
    return [_row(row) for row in await fetch_all(db, LIST)]


async def get(db: aiosqlite.Connection, name: str) -> Row | None:
    row = await fetch_one(db, GET, {"name": name})
    return _row(row) if row else None


async def insert(db: aiosqlite.Connection, row: Row) -> bool:
    """False when the name is taken."""
    async with db.execute(INSERT, _columns(row)) as cursor:
        return cursor.rowcount == 1


async def update(db: aiosqlite.Connection, row: Row) -> bool:
    """False when there is none of that name."""
    async with db.execute(UPDATE, _columns(row)) as cursor:
        return cursor.rowcount == 1


async def delete(db: aiosqlite.Connection, name: str) -> bool:
    """False when there is none of that name."""
    async with db.execute(DELETE, {"name": name}) as cursor:
        return cursor.rowcount == 1


async def list_plain(db: aiosqlite.Connection) -> list[tuple[str, str, dict[str, Any] | None]]:
    """Name, token and what was written, as the first version stored them; since then they are empty."""
    return [
        (row["name"], row["token"], json.loads(row["written"]) if row["written"] else None)
        for row in await fetch_all(db, LIST_PLAIN)
    ]


async def forget_plain(db: aiosqlite.Connection) -> None:
    await db.execute(FORGET_PLAIN)


def _row(columns: dict[str, Any]) -> Row:
    return cast(Row, {**columns, "config": json.loads(columns["config"])})


def _columns(row: Row) -> dict[str, Any]:
    return {**row, "config": json.dumps(row["config"])}

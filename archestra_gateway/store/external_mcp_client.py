"""External MCP clients in SQLite, and what was written into their files."""

import json
from typing import Any, TypedDict

import aiosqlite

from archestra_gateway.store.database import fetch_all, fetch_one

LIST = """
SELECT name, config, token, written, connected_at, created_at, updated_at
FROM external_mcp_client
ORDER BY name
"""

GET = """
SELECT name, config, token, written, connected_at, created_at, updated_at
FROM external_mcp_client
WHERE name = :name
"""

INSERT = """
INSERT INTO external_mcp_client (name, config, token, written, connected_at, created_at, updated_at)
VALUES (:name, :config, :token, :written, :connected_at, :created_at, :updated_at)
ON CONFLICT (name) DO NOTHING
"""

UPDATE = """
UPDATE external_mcp_client
SET config = :config, written = :written, connected_at = :connected_at, updated_at = :updated_at
WHERE name = :name
"""

DELETE = """
DELETE FROM external_mcp_client
WHERE name = :name
"""


class Row(TypedDict):
    """`written` is None as long as the client was never connected, and after it was disconnected."""

    name: str
    config: dict[str, Any]
    token: str
    written: dict[str, Any] | None
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


def _row(columns: dict[str, Any]) -> Row:
    written = columns["written"]
    return Row(
        name=columns["name"],
        config=json.loads(columns["config"]),
        token=columns["token"],
        written=json.loads(written) if written else None,
        connected_at=columns["connected_at"],
        created_at=columns["created_at"],
        updated_at=columns["updated_at"],
    )


def _columns(row: Row) -> dict[str, Any]:
    written = row["written"]
    return {
        **row,
        "config": json.dumps(row["config"]),
        "written": None if written is None else json.dumps(written),
    }

"""MCP servers in SQLite."""

import json
from typing import Any, TypedDict

import aiosqlite

from archestra_gateway.store.database import fetch_all

LIST = """
SELECT name, server_config, permissions, enabled, created_at, updated_at
FROM mcp_server
ORDER BY name
"""

INSERT = """
INSERT INTO mcp_server (name, server_config, permissions, enabled, created_at, updated_at)
VALUES (:name, :server_config, :permissions, :enabled, :created_at, :updated_at)
ON CONFLICT (name) DO NOTHING
"""

UPDATE = """
UPDATE mcp_server
SET server_config = :server_config, permissions = :permissions, enabled = :enabled, updated_at = :updated_at
WHERE name = :name
"""

EXISTS = """
SELECT 1 FROM mcp_server
WHERE name = :name
"""

DELETE = """
DELETE FROM mcp_server
WHERE name = :name
"""


class Row(TypedDict):
    name: str
    server_config: dict[str, Any]
    permissions: dict[str, Any]
    enabled: bool
    created_at: str
    updated_at: str


async def list_all(db: aiosqlite.Connection) -> list[Row]:
    return [
        Row(
            name=row["name"],
            server_config=json.loads(row["server_config"]),
            permissions=json.loads(row["permissions"]),
            enabled=bool(row["enabled"]),
            created_at=row["created_at"],
            updated_at=row["updated_at"],
        )
        for row in await fetch_all(db, LIST)
    ]


async def exists(db: aiosqlite.Connection, name: str) -> bool:
    return bool(await fetch_all(db, EXISTS, {"name": name}))


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


def _columns(row: Row) -> dict[str, Any]:
    return {
        **row,
        "server_config": json.dumps(row["server_config"]),
        "permissions": json.dumps(row["permissions"]),
    }

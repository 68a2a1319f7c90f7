"""What is installed for MCP servers, in SQLite."""

import json
from typing import Any, TypedDict

import aiosqlite

from archestra_gateway.store.database import fetch_all

LIST = """
SELECT server_name, source, version, folder, program, lock_text, python, digest, installed_at
FROM mcp_server_install
ORDER BY server_name
"""

PUT = """
INSERT INTO mcp_server_install
    (server_name, source, version, folder, program, lock_text, python, digest, installed_at)
VALUES (:server_name, :source, :version, :folder, :program, :lock_text, :python, :digest, :installed_at)
ON CONFLICT (server_name) DO UPDATE
SET source = excluded.source, version = excluded.version, folder = excluded.folder,
    program = excluded.program, lock_text = excluded.lock_text, python = excluded.python,
    digest = excluded.digest, installed_at = excluded.installed_at
"""

DELETE = """
DELETE FROM mcp_server_install
WHERE server_name = :server_name
"""

DELETE_UNKNOWN = """
DELETE FROM mcp_server_install
WHERE server_name NOT IN (SELECT name FROM mcp_server)
"""


class Row(TypedDict):
    server_name: str
    source: dict[str, Any]
    version: str
    folder: str
    program: dict[str, Any]
    lock_text: str
    python: str | None
    digest: str
    installed_at: str


async def list_all(db: aiosqlite.Connection) -> list[Row]:
    return [
        Row(
            server_name=row["server_name"],
            source=json.loads(row["source"]),
            version=row["version"],
            folder=row["folder"],
            program=json.loads(row["program"]),
            lock_text=row["lock_text"],
            python=row["python"],
            digest=row["digest"],
            installed_at=row["installed_at"],
        )
        for row in await fetch_all(db, LIST)
    ]


async def put(db: aiosqlite.Connection, row: Row) -> None:
    values = {**row, "source": json.dumps(row["source"]), "program": json.dumps(row["program"])}
    await db.execute(PUT, values)


async def delete(db: aiosqlite.Connection, server_name: str) -> None:
    await db.execute(DELETE, {"server_name": server_name})


async def delete_unknown(db: aiosqlite.Connection) -> None:
    await db.execute(DELETE_UNKNOWN)

"""Which definitions of MCP servers' tools were accepted, and which wait, in SQLite."""

import json
from collections.abc import Iterable
from typing import TypedDict

import aiosqlite

from archestra_gateway.store.database import fetch_all

LIST = """
SELECT server_name, tool_name, accepted, waiting, is_gone, shown_to
FROM mcp_tool_pin
ORDER BY server_name, tool_name
"""

LIST_SIGHTS = """
SELECT server_name, abilities
FROM mcp_tool_sight
"""

INSERT = """
INSERT INTO mcp_tool_pin (server_name, tool_name, accepted, waiting, is_gone, shown_to)
SELECT :server_name, :tool_name, :accepted, :waiting, :is_gone, :shown_to
WHERE EXISTS (SELECT 1 FROM mcp_server WHERE name = :server_name)
"""

INSERT_SIGHT = """
INSERT INTO mcp_tool_sight (server_name, abilities)
SELECT :server_name, :abilities
WHERE EXISTS (SELECT 1 FROM mcp_server WHERE name = :server_name)
"""

DELETE = """
DELETE FROM mcp_tool_pin
WHERE server_name = :server_name
"""

DELETE_SIGHTS = """
DELETE FROM mcp_tool_sight
WHERE server_name = :server_name
"""


class Row(TypedDict):
    """`accepted` and `waiting` are definitions in the server's own words."""

    server_name: str
    tool_name: str
    accepted: str | None
    waiting: str | None
    is_gone: bool
    shown_to: list[list[str]]


async def list_all(db: aiosqlite.Connection) -> list[Row]:
    return [
        Row(
            server_name=row["server_name"],
            tool_name=row["tool_name"],
            accepted=row["accepted"],
            waiting=row["waiting"],
            is_gone=bool(row["is_gone"]),
            shown_to=json.loads(row["shown_to"]),
        )
        for row in await fetch_all(db, LIST)
    ]


async def sights(db: aiosqlite.Connection) -> list[tuple[str, list[str]]]:
    """Servers' names, each with the abilities of a client that was shown its tools."""
    rows = await fetch_all(db, LIST_SIGHTS)
    return [(row["server_name"], json.loads(row["abilities"])) for row in rows]


async def replace(
    db: aiosqlite.Connection, server_name: str, rows: Iterable[Row], sights: Iterable[list[str]]
) -> None:
    """Everything about one server; nothing is left about one that was deleted."""
    await db.execute(DELETE, {"server_name": server_name})
    await db.execute(DELETE_SIGHTS, {"server_name": server_name})
    await db.executemany(INSERT, [{**row, "shown_to": json.dumps(row["shown_to"])} for row in rows])
    seen = [{"server_name": server_name, "abilities": json.dumps(abilities)} for abilities in sights]
    await db.executemany(INSERT_SIGHT, seen)

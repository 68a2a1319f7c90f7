"""What MCP servers said they offer, and which of their tools are offered on, in SQLite."""

import json
from typing import TypedDict, cast

import aiosqlite

from archestra_gateway.store.database import fetch_all

LIST = """
SELECT server_name, configured_at, description
FROM mcp_catalogue
"""

PUT = """
INSERT INTO mcp_catalogue (server_name, configured_at, description)
VALUES (:server_name, :configured_at, :description)
ON CONFLICT (server_name)
DO UPDATE SET configured_at = excluded.configured_at, description = excluded.description
"""

DELETE_UNKNOWN = """
DELETE FROM mcp_catalogue
WHERE server_name NOT IN (SELECT name FROM mcp_server)
"""

LIST_FILTERS = """
SELECT server_name, tools
FROM mcp_tool_filter
WHERE server_name IN (SELECT name FROM mcp_server)
"""

PUT_FILTER = """
INSERT INTO mcp_tool_filter (server_name, tools)
VALUES (:server_name, :tools)
ON CONFLICT (server_name) DO UPDATE SET tools = excluded.tools
"""

DELETE_FILTER = """
DELETE FROM mcp_tool_filter
WHERE server_name = :server_name
"""


class Row(TypedDict):
    """`description` is the JSON of `upstreams.description`, which alone takes it apart."""

    server_name: str
    configured_at: str
    description: str


async def list_all(db: aiosqlite.Connection) -> list[Row]:
    return cast(list[Row], await fetch_all(db, LIST))


async def put(db: aiosqlite.Connection, row: Row) -> None:
    await db.execute(PUT, row)


async def delete_unknown(db: aiosqlite.Connection) -> None:
    """What is left of servers that were deleted."""
    await db.execute(DELETE_UNKNOWN)


async def filters(db: aiosqlite.Connection) -> dict[str, list[str]]:
    return {row["server_name"]: json.loads(row["tools"]) for row in await fetch_all(db, LIST_FILTERS)}


async def put_filter(db: aiosqlite.Connection, server_name: str, tools: list[str] | None) -> None:
    """None offers all of them again."""
    if tools is None:
        await db.execute(DELETE_FILTER, {"server_name": server_name})
    else:
        await db.execute(PUT_FILTER, {"server_name": server_name, "tools": json.dumps(tools)})

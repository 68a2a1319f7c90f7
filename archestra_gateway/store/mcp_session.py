"""Sessions of MCP clients with the gateway's own endpoint, in SQLite."""

import json
from collections.abc import Mapping
from typing import Any, TypedDict, cast

import aiosqlite

from archestra_gateway.store.database import fetch_one

GET = """
SELECT id, opening, version, wishes
FROM mcp_session
WHERE id = :id
"""

PUT = """
INSERT INTO mcp_session (id, opening, version, wishes, used_at)
VALUES (:id, :opening, :version, :wishes, :used_at)
"""

KEEP = """
UPDATE mcp_session
SET wishes = :wishes
WHERE id = :id
"""

USE = """
UPDATE mcp_session
SET used_at = :used_at
WHERE id = :id
"""

DELETE = """
DELETE FROM mcp_session
WHERE id = :id
"""

DELETE_OLD = """
DELETE FROM mcp_session
WHERE used_at < :before OR id IN (SELECT id FROM mcp_session ORDER BY used_at DESC LIMIT -1 OFFSET :most)
"""


class Row(TypedDict):
    """`opening` is the JSON text of what `initialize` was sent with, `wishes` what was asked for since."""

    id: str
    opening: str
    version: str
    wishes: Mapping[str, Any]


async def get(db: aiosqlite.Connection, identifier: str) -> Row | None:
    row = await fetch_one(db, GET, {"id": identifier})
    return None if row is None else cast(Row, {**row, "wishes": json.loads(row["wishes"])})


async def put(db: aiosqlite.Connection, row: Row, used_at: str) -> None:
    await db.execute(PUT, {**row, "wishes": json.dumps(row["wishes"]), "used_at": used_at})


async def keep(db: aiosqlite.Connection, identifier: str, wishes: Mapping[str, Any]) -> None:
    await db.execute(KEEP, {"id": identifier, "wishes": json.dumps(wishes)})


async def use(db: aiosqlite.Connection, identifier: str, used_at: str) -> None:
    await db.execute(USE, {"id": identifier, "used_at": used_at})


async def delete(db: aiosqlite.Connection, identifier: str) -> bool:
    """False when there is none of that id."""
    async with db.execute(DELETE, {"id": identifier}) as cursor:
        return cursor.rowcount == 1


async def delete_old(db: aiosqlite.Connection, before: str, most: int) -> None:
    """Those that nobody used since, and all but the `most` that were used last."""
    await db.execute(DELETE_OLD, {"before": before, "most": most})

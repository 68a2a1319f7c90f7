"""What MCP clients asked the gateway to remember, in SQLite."""

import json
from typing import Any

import aiosqlite

from archestra_gateway.store.database import fetch_one

GET = """
SELECT context
FROM mcp_context
WHERE client = :client
"""

PUT = """
INSERT INTO mcp_context (client, context, updated_at)
VALUES (:client, :context, :updated_at)
ON CONFLICT (client) DO UPDATE SET context = excluded.context, updated_at = excluded.updated_at
"""


async def get(db: aiosqlite.Connection, client: str) -> dict[str, Any]:
    """Empty when there is none."""
    row = await fetch_one(db, GET, {"client": client})
    context: dict[str, Any] = json.loads(row["context"]) if row else {}
    return context


async def put(db: aiosqlite.Connection, client: str, context: dict[str, Any], updated_at: str) -> None:
    await db.execute(PUT, {"client": client, "context": json.dumps(context), "updated_at": updated_at})

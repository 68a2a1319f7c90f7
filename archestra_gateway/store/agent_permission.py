"""What people said about tool calls, in SQLite."""

from typing import TypedDict, cast

import aiosqlite

from archestra_gateway.store.database import fetch_all

LIST = """
SELECT server_name, tool_name, chat_id, decision, definition, updated_at
FROM agent_permission
ORDER BY server_name, tool_name, chat_id
"""
SET = """
INSERT INTO agent_permission (server_name, tool_name, chat_id, decision, definition, updated_at)
VALUES (:server_name, :tool_name, :chat_id, :decision, :definition, :updated_at)
ON CONFLICT (server_name, tool_name, chat_id) DO UPDATE
SET decision = excluded.decision, definition = excluded.definition, updated_at = excluded.updated_at
"""
DELETE = """
DELETE FROM agent_permission
WHERE server_name = :server_name AND tool_name = :tool_name AND chat_id = :chat_id
"""
DELETE_OF_CHAT = "DELETE FROM agent_permission WHERE chat_id = :chat_id"


class Row(TypedDict):
    server_name: str
    tool_name: str
    chat_id: str
    decision: str
    definition: str
    updated_at: str


async def list_all(db: aiosqlite.Connection) -> list[Row]:
    return cast(list[Row], await fetch_all(db, LIST))


async def put(db: aiosqlite.Connection, row: Row) -> None:
    await db.execute(SET, dict(row))


async def delete(db: aiosqlite.Connection, server_name: str, tool_name: str, chat_id: str) -> bool:
    """False when there is none."""
    key = {"server_name": server_name, "tool_name": tool_name, "chat_id": chat_id}
    async with db.execute(DELETE, key) as cursor:
        return cursor.rowcount == 1


async def delete_of_chat(db: aiosqlite.Connection, chat_id: str) -> None:
    await db.execute(DELETE_OF_CHAT, {"chat_id": chat_id})

"""Chats and their messages in SQLite."""

from collections.abc import Sequence
from typing import Any, TypedDict, cast

import aiosqlite
import msgspec

from archestra_gateway.store.database import fetch_all, fetch_one

FIRST_PLACE = "9999"

SAVE = """
INSERT INTO chat (id, title, created_at, updated_at)
VALUES (:id, :title, :now, :now)
ON CONFLICT (id) DO UPDATE SET updated_at = excluded.updated_at
"""
GET = """
SELECT id, title, is_title_final, created_at, updated_at, last_run, last_error
FROM chat_with_run
WHERE id = :id
"""
LIST = """
SELECT id, title, is_title_final, created_at, updated_at, last_run, last_error
FROM chat_with_run
WHERE (updated_at, id) < (:after_time, :after_id)
ORDER BY updated_at DESC, id DESC
LIMIT :limit OFFSET :offset
"""
SEARCH = """
SELECT id, title, is_title_final, created_at, updated_at, last_run, last_error
FROM chat_text JOIN chat_with_run ON number = chat_text.rowid
WHERE chat_text MATCH :words AND (updated_at, id) < (:after_time, :after_id)
ORDER BY updated_at DESC, id DESC
LIMIT :limit OFFSET :offset
"""
COUNT = "SELECT count(*) AS count FROM chat"
COUNT_FOUND = "SELECT count(*) AS count FROM chat_text WHERE chat_text MATCH :words"
SET_TITLE = """
UPDATE chat
SET title = :title, is_title_final = :is_final, updated_at = coalesce(:now, updated_at)
WHERE id = :id AND is_title_final <= :is_final
"""
DELETE_TEXT = "DELETE FROM chat_text WHERE rowid = (SELECT rowid FROM chat WHERE id = :id)"
DELETE = "DELETE FROM chat WHERE id = :id"

MESSAGES = "SELECT message FROM chat_message WHERE chat_id = :chat_id ORDER BY position"
DELETE_MESSAGES = "DELETE FROM chat_message WHERE chat_id = :chat_id"
INSERT_MESSAGE = """
INSERT INTO chat_message (chat_id, position, id, message)
VALUES (:chat_id, :position, :id, :message)
"""
REPLACE_MESSAGE = """
UPDATE chat_message SET message = :message
WHERE chat_id = :chat_id AND id = :id
    AND position = (SELECT max(position) FROM chat_message WHERE chat_id = :chat_id)
"""
APPEND_MESSAGE = """
INSERT INTO chat_message (chat_id, position, id, message)
SELECT chat.id, coalesce(max(position) + 1, 0), :id, :message
FROM chat LEFT JOIN chat_message ON chat_id = chat.id
WHERE chat.id = :chat_id
GROUP BY chat.id
"""
INSERT_TEXT = """
INSERT INTO chat_text (rowid, text)
SELECT rowid, title || char(10) || :text FROM chat WHERE id = :id
"""


class Row(TypedDict):
    id: str
    title: str
    is_title_final: int
    created_at: str
    updated_at: str
    last_run: str | None
    last_error: str | None


class Place(TypedDict):
    """What a page begins after."""

    after_time: str
    after_id: str


BEGINNING: Place = {"after_time": FIRST_PLACE, "after_id": ""}


async def save(db: aiosqlite.Connection, chat_id: str, title: str, now: str) -> None:
    """A new chat gets the title; one that is there keeps its own."""
    await db.execute(SAVE, {"id": chat_id, "title": title, "now": now})


async def get(db: aiosqlite.Connection, chat_id: str) -> Row | None:
    return cast(Row | None, await fetch_one(db, GET, {"id": chat_id}))


async def list_page(db: aiosqlite.Connection, words: str, limit: int, offset: int, place: Place) -> list[Row]:
    """The last used first; `words` is an FTS5 query, and empty for all."""
    parameters = {"words": words, "limit": limit, "offset": offset, **place}
    return cast(list[Row], await fetch_all(db, SEARCH if words else LIST, parameters))


async def count(db: aiosqlite.Connection, words: str) -> int:
    row = await fetch_one(db, COUNT_FOUND if words else COUNT, {"words": words})
    return int(row["count"]) if row else 0


async def set_title(
    db: aiosqlite.Connection, chat_id: str, title: str, now: str | None, *, is_final: bool
) -> bool:
    """A title that is final gives way to another final one only."""
    parameters = {"id": chat_id, "title": title, "now": now, "is_final": is_final}
    async with db.execute(SET_TITLE, parameters) as cursor:
        return cursor.rowcount == 1


async def delete(db: aiosqlite.Connection, chat_id: str) -> bool:
    """False when there is none."""
    await db.execute(DELETE_TEXT, {"id": chat_id})
    async with db.execute(DELETE, {"id": chat_id}) as cursor:
        return cursor.rowcount == 1


async def messages(db: aiosqlite.Connection, chat_id: str) -> list[dict[str, Any]]:
    rows = await fetch_all(db, MESSAGES, {"chat_id": chat_id})
    return [msgspec.json.decode(row["message"]) for row in rows]


async def replace_messages(db: aiosqlite.Connection, chat_id: str, told: Sequence[dict[str, Any]]) -> None:
    await db.execute(DELETE_MESSAGES, {"chat_id": chat_id})
    await db.executemany(
        INSERT_MESSAGE,
        [{"chat_id": chat_id, "position": place, **_row(message)} for place, message in enumerate(told)],
    )


async def put_message(db: aiosqlite.Connection, chat_id: str, message: dict[str, Any]) -> None:
    """In the place of the last one where that has its id, else after it."""
    parameters = {"chat_id": chat_id, **_row(message)}
    async with db.execute(REPLACE_MESSAGE, parameters) as cursor:
        if cursor.rowcount == 1:
            return
    await db.execute(APPEND_MESSAGE, parameters)


async def set_text(db: aiosqlite.Connection, chat_id: str, text: str) -> None:
    """What a search looks through, beside the title."""
    await db.execute(DELETE_TEXT, {"id": chat_id})
    await db.execute(INSERT_TEXT, {"id": chat_id, "text": text})


def _row(message: dict[str, Any]) -> dict[str, str]:
    return {"id": message["id"], "message": msgspec.json.encode(message).decode()}

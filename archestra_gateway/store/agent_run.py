"""Runs of the agent and what they streamed, in SQLite."""

from collections.abc import Sequence
from typing import Any, TypedDict, cast

import aiosqlite

from archestra_gateway.store.database import fetch_all

INSERT = """
INSERT INTO agent_run (id, chat_id, message_id, state, started_at)
VALUES (:id, :chat_id, :message_id, 'running', :started_at)
"""
END = """
UPDATE agent_run SET state = :state, error = :error, ended_at = :ended_at
WHERE id = :id
"""
RUNNING = """
SELECT id, chat_id, message_id, state, error, started_at, ended_at
FROM agent_run
WHERE state = 'running'
ORDER BY started_at, rowid
"""
DELETE_FRAMES = "DELETE FROM agent_run_frames WHERE run_id = :run_id"
DELETE_ENDED_FRAMES = """
DELETE FROM agent_run_frames
WHERE run_id IN (SELECT id FROM agent_run WHERE state != 'running')
"""
INSERT_FRAMES = """
INSERT INTO agent_run_frames (run_id, first, last, frames)
SELECT :run_id, :first, :last, :frames
WHERE EXISTS (SELECT 1 FROM agent_run WHERE id = :run_id)
"""
FRAMES = """
SELECT first, last, frames
FROM agent_run_frames
WHERE run_id = :run_id AND last > :after
ORDER BY first
LIMIT :limit
"""


class Run(TypedDict):
    id: str
    chat_id: str
    message_id: str
    state: str
    error: str | None
    started_at: str
    ended_at: str | None


class Frames(TypedDict):
    """Frames with the numbers `first` to `last`, one after the other."""

    first: int
    last: int
    frames: bytes


async def insert(
    db: aiosqlite.Connection, run_id: str, chat_id: str, message_id: str, started_at: str
) -> None:
    await db.execute(
        INSERT, {"id": run_id, "chat_id": chat_id, "message_id": message_id, "started_at": started_at}
    )


async def end(db: aiosqlite.Connection, run_id: str, state: str, error: str | None, ended_at: str) -> None:
    await db.execute(END, {"id": run_id, "state": state, "error": error, "ended_at": ended_at})


async def running(db: aiosqlite.Connection) -> list[Run]:
    return cast(list[Run], await fetch_all(db, RUNNING))


async def insert_frames(db: aiosqlite.Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Rows of `run_id`, `first`, `last` and `frames`; those of a run that was deleted are passed over."""
    await db.executemany(INSERT_FRAMES, rows)


async def frames(db: aiosqlite.Connection, run_id: str, after: int, limit: int) -> list[Frames]:
    """The next rows that have frames after the number `after`."""
    rows = await fetch_all(db, FRAMES, {"run_id": run_id, "after": after, "limit": limit})
    return cast(list[Frames], rows)


async def delete_frames(db: aiosqlite.Connection, run_id: str) -> None:
    await db.execute(DELETE_FRAMES, {"run_id": run_id})


async def delete_ended_frames(db: aiosqlite.Connection) -> None:
    await db.execute(DELETE_ENDED_FRAMES)

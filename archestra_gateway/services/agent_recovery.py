"""Runs that a killed gateway left in the middle become chats that can be gone on with."""

import logging

from archestra_gateway.agent import chunks
from archestra_gateway.agent.message import Message
from archestra_gateway.services.chat import Chats
from archestra_gateway.store import agent_run as store
from archestra_gateway.store import chat as chat_store
from archestra_gateway.store.database import Database

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 200
BROKEN = "The gateway ended in the middle of this answer"


async def recover(database: Database, chats: Chats) -> None:
    """Before anything runs."""
    async with database.read() as db:
        runs = await store.running(db)
    for run in runs:
        message = await _read(database, run)
        message.metadata |= {"finish_reason": "interrupted", "error": BROKEN}
        await chats.end(run["id"], run["chat_id"], message.settled(), "broken", BROKEN)
        log.warning("The chat %s was interrupted in the middle of an answer", run["chat_id"])
    async with database.transaction() as db:
        await store.delete_ended_frames(db)


async def _read(database: Database, run: store.Run) -> Message:
    """The message as far as it had come; one that was gone on with begins as it is stored."""
    async with database.read() as db:
        told = await chat_store.messages(db, run["chat_id"])
        known = told[-1] if told and told[-1]["id"] == run["message_id"] else None
        message = Message(run["message_id"]) if known is None else Message.continued(known)
        after = 0
        while rows := await store.frames(db, run["id"], after, ROWS_AT_ONCE):
            for row in rows:
                for frame in row["frames"].split(b"\n\n")[:-1]:
                    message.apply(chunks.chunk_of(frame))
            after = rows[-1]["last"]
    return message

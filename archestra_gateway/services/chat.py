"""Chats: what was said in them, their titles, and finding them again."""

import re
from typing import Any

import attrs

from archestra_gateway import timestamp
from archestra_gateway.agent.history import text_of
from archestra_gateway.errors import NotFound
from archestra_gateway.schemas.chat import ChatQuery, UpdateChat
from archestra_gateway.services.agent_run import Run
from archestra_gateway.store import agent_permission, agent_run
from archestra_gateway.store import chat as store
from archestra_gateway.store.database import Database

TITLE = 80
SEARCHED = 512 * 1024
"""Characters of a chat that a search looks through."""
UNTITLED = "New chat"


@attrs.frozen
class Chats:
    _database: Database

    async def list_page(self, query: ChatQuery) -> dict[str, Any]:
        words = match(query.search)
        place = _place(query.cursor) if query.cursor else store.BEGINNING
        offset = 0 if query.cursor else (query.page - 1) * query.page_size
        async with self._database.read() as db:
            rows = await store.list_page(db, words, query.page_size + 1, offset, place)
            total = await store.count(db, words)
        data = rows[: query.page_size]
        last = data[-1] if len(rows) > query.page_size else None
        return {
            "data": [_shown(row) for row in data],
            "total": total,
            "page": None if query.cursor else query.page,
            "page_size": query.page_size,
            "next_cursor": f"{last['updated_at']}_{last['id']}" if last else None,
        }

    async def count(self) -> int:
        async with self._database.read() as db:
            return await store.count(db, "")

    async def get(self, chat_id: str) -> dict[str, Any]:
        """Raises NotFound."""
        async with self._database.read() as db:
            row = await store.get(db, chat_id)
            if row is None:
                raise _not_found(chat_id)
            return {**_shown(row), "messages": await store.messages(db, chat_id)}

    async def update(self, chat_id: str, wanted: UpdateChat) -> dict[str, Any]:
        """A title that a person gave stays. Raises NotFound."""
        await self.set_title(chat_id, wanted.title.strip(), is_final=True)
        async with self._database.read() as db:
            row = await store.get(db, chat_id)
        if row is None:
            raise _not_found(chat_id)
        return _shown(row)

    async def delete(self, chat_id: str) -> None:
        """Raises NotFound."""
        async with self._database.transaction() as db:
            await agent_permission.delete_of_chat(db, chat_id)
            if not await store.delete(db, chat_id):
                raise _not_found(chat_id)

    async def begin(self, run: Run, messages: list[dict[str, Any]]) -> None:
        """The chat is what its client says it is, and a run answers it."""
        now = timestamp.now()
        async with self._database.transaction() as db:
            await store.save(db, run.chat_id, first_title(messages), now)
            await store.replace_messages(db, run.chat_id, messages)
            await store.set_text(db, run.chat_id, _text(messages))
            await agent_run.insert(db, run.id, run.chat_id, run.message.id, now)

    async def end(
        self, run_id: str, chat_id: str, message: dict[str, Any], state: str, error: str | None
    ) -> None:
        async with self._database.transaction() as db:
            await store.put_message(db, chat_id, message)
            await store.set_text(db, chat_id, _text(await store.messages(db, chat_id)))
            await agent_run.end(db, run_id, state, error, timestamp.now())

    async def needs_title(self, chat_id: str) -> bool:
        async with self._database.read() as db:
            row = await store.get(db, chat_id)
        return row is not None and not row["is_title_final"]

    async def set_title(self, chat_id: str, title: str, *, is_final: bool) -> None:
        async with self._database.transaction() as db:
            await store.set_title(db, chat_id, title, None, is_final=is_final)
            await store.set_text(db, chat_id, _text(await store.messages(db, chat_id)))


def match(search: str) -> str:
    """An FTS5 query for all the words, the last of which may not be whole yet."""
    words = re.findall(r"\w+", search)
    return " ".join(f'"{word}"' for word in words) + "*" if words else ""


def first_title(messages: list[dict[str, Any]]) -> str:
    """How a chat is called until somebody knows better."""
    asked = next((text_of(message) for message in messages if message["role"] == "user"), "")
    words = " ".join(asked.split())
    return words if len(words) <= TITLE else words[: TITLE - 1].rstrip() + "…" if words else UNTITLED


def _text(messages: list[dict[str, Any]]) -> str:
    return "\n".join(text for message in messages if (text := text_of(message)))[:SEARCHED]


def _shown(row: store.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "title": row["title"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "is_running": row["last_run"] == "running",
        "last_run": row["last_run"],
        "last_error": row["last_error"],
    }


def _place(cursor: str) -> store.Place:
    moment, _, chat_id = cursor.partition("_")
    return {"after_time": moment, "after_id": chat_id}


def _not_found(chat_id: str) -> NotFound:
    return NotFound("Chat not found", id=chat_id)

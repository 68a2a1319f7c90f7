"""The public registry's servers in SQLite."""

from collections.abc import Iterable, Sequence
from typing import Any, TypedDict, cast

import aiosqlite
import msgspec

from archestra_gateway.store.database import fetch_all, fetch_one

PUT = """
INSERT INTO catalog_server (name, label, text, document, status, sweep)
VALUES (:name, :label, :text, :document, :status, :sweep)
ON CONFLICT (name) DO UPDATE SET
    label = excluded.label, text = excluded.text, document = excluded.document, status = excluded.status,
    sweep = excluded.sweep
"""
DELETE = "DELETE FROM catalog_server WHERE name = :name"
DELETE_UNSEEN = "DELETE FROM catalog_server WHERE sweep < :sweep"
DELETE_ALL = "DELETE FROM catalog_server"
COUNT_ALL = "SELECT count(*) AS count FROM catalog_server"
GET = "SELECT name, document, status FROM catalog_server WHERE name = :name"
LIST = """
WITH found AS (
    SELECT name, document, status,
        CASE
            WHEN label = :phrase THEN 0
            WHEN instr(label, :word1) AND instr(label, :word2)
                AND instr(label, :word3) AND instr(label, :word4)
            THEN 1
            ELSE 2
        END AS rank
    FROM catalog_server
    WHERE instr(text, :word1) AND instr(text, :word2) AND instr(text, :word3) AND instr(text, :word4)
        OR instr(lower(name), :part)
)
SELECT name, document, status, rank FROM found
WHERE (rank, name) > (:after_rank, :after_name)
ORDER BY rank, name
LIMIT :limit OFFSET :offset
"""
COUNT = """
SELECT count(*) AS count FROM catalog_server
WHERE instr(text, :word1) AND instr(text, :word2) AND instr(text, :word3) AND instr(text, :word4)
    OR instr(lower(name), :part)
"""
GET_REGISTRY = "SELECT url, since, swept_at, refreshed_at, problem FROM catalog_registry"
DELETE_REGISTRY = "DELETE FROM catalog_registry"
PUT_REGISTRY = """
INSERT INTO catalog_registry (url, since, swept_at, refreshed_at, problem)
VALUES (:url, :since, :swept_at, :refreshed_at, :problem)
"""
WORDS = 4
NO_PART = "\n"


class Row(TypedDict):
    name: str
    document: dict[str, Any]
    status: str
    rank: int


class NewRow(TypedDict):
    """`sweep` is when the pass began in which it was seen."""

    name: str
    label: str
    text: str
    document: str
    status: str
    sweep: str


class Registry(TypedDict):
    """`since` is from when on there may be news, `swept_at` when everything was last read."""

    url: str
    since: str | None
    swept_at: str | None
    refreshed_at: str | None
    problem: str | None


class Search(TypedDict):
    phrase: str
    part: str
    word1: str
    word2: str
    word3: str
    word4: str


def search(words: Sequence[str], part: str) -> Search:
    """All of the words (of more than four, the first four) in the texts, or `part` in the name."""
    first, second, third, fourth = (*words[:WORDS], *("",) * (WORDS - len(words[:WORDS])))
    return {
        "phrase": " ".join(words),
        "part": part or NO_PART,
        "word1": first,
        "word2": second,
        "word3": third,
        "word4": fourth,
    }


async def put(db: aiosqlite.Connection, rows: Iterable[NewRow]) -> None:
    await db.executemany(PUT, list(rows))


async def delete(db: aiosqlite.Connection, names: Iterable[str]) -> None:
    await db.executemany(DELETE, [{"name": name} for name in names])


async def delete_unseen(db: aiosqlite.Connection, sweep: str) -> None:
    """What a whole pass that began then has not seen."""
    await db.execute(DELETE_UNSEEN, {"sweep": sweep})


async def get(db: aiosqlite.Connection, name: str) -> Row | None:
    row = await fetch_one(db, GET, {"name": name})
    return _decoded({**row, "rank": 0}) if row else None


async def list_page(
    db: aiosqlite.Connection, wanted: Search, limit: int, offset: int, after: tuple[int, str]
) -> list[Row]:
    """The best first: those that are called so, those whose name has the words, the others."""
    parameters = {**wanted, "limit": limit, "offset": offset, "after_rank": after[0], "after_name": after[1]}
    return [_decoded(row) for row in await fetch_all(db, LIST, parameters)]


async def count(db: aiosqlite.Connection, wanted: Search) -> int:
    row = await fetch_one(db, COUNT, wanted)
    return int(row["count"]) if row else 0


async def count_all(db: aiosqlite.Connection) -> int:
    row = await fetch_one(db, COUNT_ALL)
    return int(row["count"]) if row else 0


async def get_registry(db: aiosqlite.Connection) -> Registry | None:
    return cast(Registry | None, await fetch_one(db, GET_REGISTRY))


async def put_registry(db: aiosqlite.Connection, registry: Registry) -> None:
    """In place of the one that was there; the servers of another one go."""
    before = await get_registry(db)
    if before is not None and before["url"] != registry["url"]:
        await db.execute(DELETE_ALL)
    await db.execute(DELETE_REGISTRY)
    await db.execute(PUT_REGISTRY, registry)


def _decoded(row: dict[str, Any]) -> Row:
    return cast(Row, {**row, "document": msgspec.json.decode(row["document"])})

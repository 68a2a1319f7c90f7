"""The request log's rows, and what they add up to hour by hour."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any, TypedDict, cast

import aiosqlite
import msgspec

from archestra_gateway.store.database import fetch_all, fetch_one

# `{where}` stands for what `where()` makes of the filters: columns and placeholders, never a value.
ADD_TO_HOURS = """
INSERT INTO mcp_request_log_hour (hour, server_name, kind, is_error, duration_bucket, count, duration_ms)
SELECT substr(timestamp, 1, 13), server_name, kind, is_error, duration_bucket, count(*), sum(duration_ms)
FROM mcp_request_log WHERE id > (SELECT max(id) FROM mcp_request_log) - :count GROUP BY 1, 2, 3, 4, 5
ON CONFLICT DO UPDATE SET count = count + excluded.count, duration_ms = duration_ms + excluded.duration_ms
"""

LIST = """
SELECT id, request_id, kind, timestamp, session_id, mcp_session_id, server_name, user_agent, client_name,
    client_version, client_platform, method, tool_name, status_code, error_message, duration_ms
FROM mcp_request_log {where} ORDER BY timestamp DESC, id DESC LIMIT :limit OFFSET :offset
"""
GET = """
SELECT id, request_id, kind, timestamp, session_id, mcp_session_id, server_name, user_agent, client_name,
    client_version, client_platform, method, tool_name, status_code, error_message, duration_ms,
    request_headers, request_body, request_body_truncated,
    response_headers, response_body, response_body_truncated
FROM mcp_request_log JOIN mcp_request_log_content ON log_id = id
WHERE request_id = :request_id ORDER BY timestamp, id LIMIT 1
"""
USAGE = """
SELECT count(*) AS requests, max(timestamp) AS last_seen_at
FROM mcp_request_log WHERE client_name = :name
"""
COUNT = "SELECT count(*) AS count FROM (SELECT id FROM mcp_request_log {where} LIMIT :limit)"

CELLS_OF_ROWS = """
SELECT server_name, is_error, duration_bucket, count(*) AS count, sum(duration_ms) AS duration_ms
FROM (
    SELECT server_name, is_error, duration_bucket, duration_ms
    FROM mcp_request_log {where} ORDER BY timestamp DESC LIMIT :limit
)
GROUP BY 1, 2, 3
"""
CELLS_OF_HOURS = """
SELECT server_name, is_error, duration_bucket, sum(count) AS count, sum(duration_ms) AS duration_ms
FROM mcp_request_log_hour
WHERE hour > :after AND hour < :before
    AND server_name = coalesce(:server_name, server_name) AND kind = coalesce(:kind, kind)
GROUP BY 1, 2, 3
"""

USES = """
SELECT tool_name, count(*) AS uses, max(timestamp) AS last_used_at
FROM mcp_request_log
WHERE server_name = :server_name AND tool_name IS NOT NULL
GROUP BY tool_name
"""

TAKE_OLDEST_FROM_HOURS = """
INSERT INTO mcp_request_log_hour (hour, server_name, kind, is_error, duration_bucket, count, duration_ms)
SELECT substr(timestamp, 1, 13), server_name, kind, is_error, duration_bucket, count(*), sum(duration_ms)
FROM mcp_request_log
WHERE id IN (SELECT id FROM mcp_request_log WHERE timestamp < :before ORDER BY timestamp, id LIMIT :limit)
GROUP BY 1, 2, 3, 4, 5
ON CONFLICT DO UPDATE SET count = count - excluded.count, duration_ms = duration_ms - excluded.duration_ms
"""
DELETE_EMPTY_HOURS = "DELETE FROM mcp_request_log_hour WHERE hour <= substr(:before, 1, 13) AND count = 0"
DELETE_OLDEST_CONTENT = """
DELETE FROM mcp_request_log_content
WHERE log_id IN (SELECT id FROM mcp_request_log WHERE timestamp < :before ORDER BY timestamp, id LIMIT :limit)
"""
DELETE_OLDEST = """
DELETE FROM mcp_request_log
WHERE id IN (SELECT id FROM mcp_request_log WHERE timestamp < :before ORDER BY timestamp, id LIMIT :limit)
"""

BEGINNING = "0000-01-01T00:00:00.000Z"
END = "9999-12-31T23:59:59.999Z"

EQUALITIES = (
    "request_id",
    "session_id",
    "mcp_session_id",
    "tool_name",
    "client_name",
    "status_code",
    "method",
    "server_name",
    "kind",
)
"""The filters by one column, the most selective first; each has an index `mcp_request_log_<column>`."""

ROW = (
    *("request_id", "kind", "timestamp", "session_id", "mcp_session_id", "server_name"),
    *("user_agent", "client_name", "client_version", "client_platform"),
    *("method", "tool_name", "status_code", "error_message", "duration_ms", "duration_bucket"),
)
CONTENT = (
    *("request_headers", "request_body", "request_body_truncated"),
    *("response_headers", "response_body", "response_body_truncated"),
)
PIECES = (1000, 100, 10, 1)
"""Rows that one statement inserts: few sizes, for to read a statement takes SQLite as long as to run it."""

CLIENT_INFO = ("user_agent", "client_name", "client_version", "client_platform")


class Use(TypedDict):
    tool_name: str
    uses: int
    last_used_at: str


class Filters(TypedDict, total=False):
    """What is not there is not asked for; `start_time` is included, `end_time` is not."""

    request_id: str
    session_id: str
    mcp_session_id: str
    tool_name: str
    client_name: str
    status_code: int
    method: str
    server_name: str
    kind: str
    start_time: str
    end_time: str


class Cursor(TypedDict):
    """The place after a row, in the order newest first."""

    cursor_timestamp: str
    cursor_id: int


class Cell(TypedDict):
    """Calls of one server with one outcome that took about equally long."""

    server_name: str
    is_error: int
    duration_bucket: int
    count: int
    duration_ms: float


async def insert_many(db: aiosqlite.Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Rows as `services.mcp_request_log_row` makes them.

    Many in one statement: `executemany` waits for Python's lock at every row, up to 5 ms beside a busy loop.
    """
    for piece in _pieces(rows):
        for sql, values in _inserts(piece):
            await db.execute(sql, values)
    await db.execute(ADD_TO_HOURS, {"count": len(rows)})


async def list_page(
    db: aiosqlite.Connection, filters: Filters, limit: int, *, offset: int = 0, cursor: Cursor | None = None
) -> list[dict[str, Any]]:
    """The newest first, without headers and bodies."""
    asked = {**parameters(filters, limit), "offset": offset, **(cursor or {})}
    rows = await fetch_all(db, LIST.format(where=where(filters, cursor)), asked)
    return [_with_client_info(row) for row in rows]


class Usage(TypedDict):
    """What the log has of one client."""

    requests: int
    last_seen_at: str | None


async def usage_of_client(db: aiosqlite.Connection, name: str) -> Usage:
    return cast(Usage, await fetch_one(db, USAGE, {"name": name}))


async def count(db: aiosqlite.Connection, filters: Filters, limit: int) -> int:
    """How many rows there are, counting no further than `limit`."""
    row = await fetch_one(db, COUNT.format(where=where(filters)), parameters(filters, limit))
    return int(row["count"]) if row else 0


async def get(db: aiosqlite.Connection, request_id: str) -> dict[str, Any] | None:
    """The call that began first under this request id, whole."""
    row = await fetch_one(db, GET, {"request_id": request_id})
    if row is None:
        return None
    for side in ("request", "response"):
        row[f"{side}_headers"] = msgspec.json.decode(row[f"{side}_headers"])
        row[f"{side}_body_truncated"] = bool(row[f"{side}_body_truncated"])
    return _with_client_info(row)


async def cells_of_rows(db: aiosqlite.Connection, filters: Filters, limit: int = -1) -> list[Cell]:
    """Sums over the newest `limit` rows (all of them when it is negative)."""
    sql = CELLS_OF_ROWS.format(where=where(filters))
    return cast(list[Cell], await fetch_all(db, sql, parameters(filters, limit)))


async def cells_of_hours(
    db: aiosqlite.Connection, after: str, before: str, server_name: str | None, kind: str | None
) -> list[Cell]:
    """Sums over the whole hours (`2026-11-25T01`) between two hours, neither of them included."""
    asked = {"after": after, "before": before, "server_name": server_name, "kind": kind}
    return cast(list[Cell], await fetch_all(db, CELLS_OF_HOURS, asked))


async def delete_oldest(db: aiosqlite.Connection, before: str, limit: int) -> int:
    """Deletes up to `limit` rows from before a time; gives how many they were."""
    chunk: Any = {"before": before, "limit": limit}
    await db.execute(TAKE_OLDEST_FROM_HOURS, chunk)
    await db.execute(DELETE_OLDEST_CONTENT, chunk)
    deleted = await db.execute(DELETE_OLDEST, chunk)
    await db.execute(DELETE_EMPTY_HOURS, chunk)
    return deleted.rowcount


def _pieces(rows: Sequence[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    at = 0
    while at < len(rows):
        size = next(size for size in PIECES if size <= len(rows) - at)
        yield rows[at : at + size]
        at += size


def _inserts(piece: Sequence[dict[str, Any]]) -> list[tuple[str, list[Any]]]:
    statements = _insert(len(piece)), _insert_content(len(piece))
    columns = itemgetter(*ROW), itemgetter(*CONTENT)
    values = [list(chain.from_iterable(map(each, piece))) for each in columns]
    return list(zip(statements, values, strict=True))


# Our own names, numbers and placeholders, never a value.
@lru_cache
def _insert(count: int) -> str:
    """SQLite gives the rows ids that follow each other."""
    row = f"({', '.join('?' * len(ROW))})"
    return f"INSERT INTO mcp_request_log ({', '.join(ROW)}) VALUES {', '.join([row] * count)}"  # noqa: S608


@lru_cache
def _insert_content(count: int) -> str:
    """Of as many rows, the newest ones."""
    rows = ", ".join(f"({number}, {', '.join('?' * len(CONTENT))})" for number in range(1, count + 1))
    columns = ", ".join(f"column{number}" for number in range(2, len(CONTENT) + 2))
    return f"""
    INSERT INTO mcp_request_log_content (log_id, {", ".join(CONTENT)})
    SELECT newest.id - {count} + column1, {columns}
    FROM (SELECT max(id) AS id FROM mcp_request_log) AS newest, (VALUES {rows})
    """  # noqa: S608


def where(filters: Filters, cursor: Cursor | None = None) -> str:
    """What `{where}` stands for: one index, the most selective filter's, walked from the newest row down."""
    columns = [column for column in EQUALITIES if column in filters]
    until = "(timestamp, id) < (:cursor_timestamp, :cursor_id)" if cursor else "timestamp < :end_time"
    clauses = [f"{column} = :{column}" for column in columns] + ["timestamp >= :start_time", until]
    return f"INDEXED BY mcp_request_log_{(columns or ['timestamp'])[0]} WHERE {' AND '.join(clauses)}"


def parameters(filters: Filters, limit: int) -> dict[str, Any]:
    return {"start_time": BEGINNING, "end_time": END, **filters, "limit": limit}


def _with_client_info(row: dict[str, Any]) -> dict[str, Any]:
    row["client_info"] = {name: row.pop(name) for name in CLIENT_INFO}
    return row


async def uses(db: aiosqlite.Connection, server_name: str) -> list[Use]:
    """How often each tool was called, as far back as the request log goes."""
    return cast(list[Use], await fetch_all(db, USES, {"server_name": server_name}))

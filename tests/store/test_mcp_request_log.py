"""Whatever the request log is asked, an index answers; and its hours' sums are those of its rows."""

import random
from itertools import combinations
from typing import Any

import aiosqlite
import pytest

from archestra_gateway.store import mcp_request_log as log
from archestra_gateway.store.database import Database, fetch_all

VALUES: dict[str, Any] = dict.fromkeys(log.EQUALITIES, "x") | {"status_code": 500}
CURSOR: log.Cursor = {"cursor_timestamp": "2026-11-25T01:00:00.000Z", "cursor_id": 3}
SUMS_OF_ROWS = """
SELECT substr(timestamp, 1, 13) AS hour, server_name, kind, is_error, duration_bucket,
    count(*) AS count, round(sum(duration_ms), 6) AS duration_ms
FROM mcp_request_log GROUP BY 1, 2, 3, 4, 5
"""
SUMS_OF_HOURS = """
SELECT hour, server_name, kind, is_error, duration_bucket, count, round(duration_ms, 6) AS duration_ms
FROM mcp_request_log_hour ORDER BY 1, 2, 3, 4, 5
"""


def row(number: int, **columns: Any) -> dict[str, Any]:
    return {
        "request_id": f"request-{number}",
        "kind": "mcp",
        "timestamp": f"2026-11-25T{number // 60 % 24:02}:{number % 60:02}:00.000Z",
        "session_id": None,
        "mcp_session_id": None,
        "server_name": "files",
        "user_agent": "curl/8",
        "client_name": None,
        "client_version": None,
        "client_platform": None,
        "method": "tools/call",
        "tool_name": None,
        "status_code": 200,
        "error_message": None,
        "duration_ms": float(number),
        "duration_bucket": number % 7,
        "request_headers": '{"accept":"*/*"}',
        "request_body": "{}",
        "request_body_truncated": False,
        "response_headers": "{}",
        "response_body": None,
        "response_body_truncated": True,
        **columns,
    }


async def write(database: Database, *rows: dict[str, Any]) -> None:
    async with database.transaction() as db:
        await log.insert_many(db, rows)


async def plan(db: aiosqlite.Connection, sql: str, filters: log.Filters, **others: Any) -> str:
    asked = {**log.parameters(filters, 50), **others}
    return " | ".join(line["detail"] for line in await fetch_all(db, f"EXPLAIN QUERY PLAN {sql}", asked))


@pytest.mark.parametrize("cursor", [None, CURSOR], ids=["numbered", "keyset"])
async def test_every_combination_of_filters_walks_an_index_in_order(
    database: Database, cursor: log.Cursor | None
) -> None:
    async with database.read() as db:
        for size in range(len(log.EQUALITIES) + 1):
            for columns in combinations(log.EQUALITIES, size):
                filters: Any = {column: VALUES[column] for column in columns}
                where = log.where(filters, cursor)
                place: Any = cursor or {}
                page = await plan(db, log.LIST.format(where=where), filters, offset=0, **place)
                count = await plan(db, log.COUNT.format(where=log.where(filters)), filters)

                for steps in (page, count):
                    assert "SEARCH mcp_request_log USING" in steps
                    assert "timestamp>? AND timestamp<?" in steps
                    assert "SCAN mcp_request_log" not in steps
                    assert "TEMP B-TREE" not in steps


async def test_the_most_selective_filter_chooses_the_index(database: Database) -> None:
    filters: log.Filters = {"server_name": "files", "session_id": "s"}

    async with database.read() as db:
        steps = await plan(db, log.LIST.format(where=log.where(filters)), filters, offset=0)

    assert "mcp_request_log_session_id (session_id=? AND timestamp>? AND timestamp<?)" in steps


async def test_a_row_comes_back_whole(database: Database) -> None:
    await write(database, row(61, request_id="wanted", error_message="broke", tool_name="read_file"))

    async with database.read() as db:
        found = await log.get(db, "wanted")

    assert found == {
        "id": 1,
        "request_id": "wanted",
        "kind": "mcp",
        "timestamp": "2026-11-25T01:01:00.000Z",
        "session_id": None,
        "mcp_session_id": None,
        "server_name": "files",
        "client_info": {
            "user_agent": "curl/8",
            "client_name": None,
            "client_version": None,
            "client_platform": None,
        },
        "method": "tools/call",
        "tool_name": "read_file",
        "status_code": 200,
        "error_message": "broke",
        "duration_ms": 61.0,
        "request_headers": {"accept": "*/*"},
        "request_body": "{}",
        "request_body_truncated": False,
        "response_headers": {},
        "response_body": None,
        "response_body_truncated": True,
    }


async def test_of_several_calls_under_one_request_id_the_outermost_is_given(database: Database) -> None:
    inner, outer = row(5, request_id="r", server_name="inner"), row(4, request_id="r", server_name="outer")
    await write(database, inner, outer)

    async with database.read() as db:
        found = await log.get(db, "r")

    assert found is not None
    assert found["server_name"] == "outer"


@pytest.mark.parametrize(("name", "value"), VALUES.items())
async def test_each_filter_finds_what_it_names(database: Database, name: Any, value: Any) -> None:
    value = "llm" if name == "kind" else value
    await write(database, row(1), row(2, **{name: value}), row(3))

    async with database.read() as db:
        filters: Any = {name: value}
        found = await log.list_page(db, filters, 10)
        assert await log.count(db, filters, 10) == 1

    assert [found_row["id"] for found_row in found] == [2]


async def test_times_include_the_start_and_not_the_end(database: Database) -> None:
    await write(database, *(row(number) for number in range(5)))
    filters: log.Filters = {"start_time": "2026-11-25T00:01:00.000Z", "end_time": "2026-11-25T00:03:00.000Z"}

    async with database.read() as db:
        found = await log.list_page(db, filters, 10)

    assert [found_row["timestamp"][14:16] for found_row in found] == ["02", "01"]


async def test_cursors_go_through_rows_of_one_moment_without_loss(database: Database) -> None:
    moment = "2026-11-25T01:00:00.000Z"
    await write(database, row(0), *(row(number, timestamp=moment) for number in range(1, 8)), row(60 * 9))
    seen: list[int] = []
    cursor: log.Cursor | None = None

    async with database.read() as db:
        while page := await log.list_page(db, {}, 2, cursor=cursor):
            seen += [found["id"] for found in page]
            cursor = {"cursor_timestamp": page[-1]["timestamp"], "cursor_id": page[-1]["id"]}

    assert seen == [9, 8, 7, 6, 5, 4, 3, 2, 1]


async def test_a_count_goes_no_further_than_asked(database: Database) -> None:
    await write(database, *(row(number) for number in range(9)))

    async with database.read() as db:
        assert await log.count(db, {}, 5) == 5


async def test_the_sums_of_hours_are_always_those_of_the_rows(database: Database) -> None:
    chance = random.Random(4)

    async def assert_equal() -> None:
        async with database.read() as db:
            assert await fetch_all(db, SUMS_OF_HOURS) == await fetch_all(db, SUMS_OF_ROWS)

    for start in range(0, 600, 100):
        servers = (chance.choice(("files", "memory")) for _ in range(100))
        failed = (chance.choice((200, 200, 500, None)) for _ in range(100))
        columns = zip(range(start, start + 100), servers, failed, strict=True)
        await write(database, *(row(n, server_name=name, status_code=code) for n, name, code in columns))
        await assert_equal()

    async with database.transaction() as db:
        assert await log.delete_oldest(db, "2026-11-25T05:30:00.000Z", 77) == 77
    await assert_equal()
    async with database.transaction() as db:
        assert await log.delete_oldest(db, "2026-11-25T05:30:00.000Z", 1000) == 330 - 77
    await assert_equal()
    async with database.transaction() as db:
        assert await log.delete_oldest(db, log.END, 1000) == 270
    await assert_equal()


async def test_deleted_calls_leave_no_content_behind(database: Database) -> None:
    await write(database, *(row(number) for number in range(9)))

    async with database.transaction() as db:
        await log.delete_oldest(db, "2026-11-25T00:04:00.000Z", 100)

    async with database.read() as db:
        left = await fetch_all(db, "SELECT log_id FROM mcp_request_log_content ORDER BY 1")
    assert [content["log_id"] for content in left] == [5, 6, 7, 8, 9]

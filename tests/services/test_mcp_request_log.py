"""Nothing waits for the disk, what was accepted is written, and what was not is counted."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from archestra_gateway.config import RequestLogConfig
from archestra_gateway.errors import NotFound
from archestra_gateway.log import Redactor
from archestra_gateway.services.mcp_request_log import Entry, RequestLog
from archestra_gateway.store.database import Database, fetch_all

DAY = 86400.0


@pytest.fixture
async def log(database: Database) -> AsyncIterator[RequestLog]:
    log = RequestLog(database, Redactor(), RequestLogConfig())
    async with log.running():
        yield log


def entry(number: int = 0, **fields: Any) -> Entry:
    return Entry(
        **{
            "kind": "mcp",
            "request_id": f"request-{number}",
            "timestamp": 1795569794.0 + number,
            "server_name": "files",
            "status_code": 200,
            **fields,
        }
    )


async def limit_size(database: Database, pages: int) -> None:
    """From 1 page on the next write meets a full disk, as SQLite sees it."""
    async with database.transaction() as db:
        await db.execute_fetchall(f"PRAGMA max_page_count = {pages}")


async def count_rows(database: Database) -> int:
    async with database.read() as db:
        (row,) = await fetch_all(db, "SELECT count(*) AS count FROM mcp_request_log")
    return int(row["count"])


async def test_who_asks_sees_what_was_recorded_just_before(log: RequestLog) -> None:
    log.record(entry(1, request_body=b"{}"))

    assert (await log.get("request-1"))["request_body"] == "{}"
    assert (await log.stats({}))["total_requests"] == 1
    log.record(entry(2))
    assert (await log.list_page({}, 10))["total"] == 2


async def test_rows_are_written_without_anybody_asking(log: RequestLog) -> None:
    log.record(entry())

    async with asyncio.timeout(5):
        while not log.counters()["written"]:
            await asyncio.sleep(0.01)


async def test_what_was_accepted_survives_a_clean_stop(database: Database) -> None:
    log = RequestLog(database, Redactor(), RequestLogConfig())

    async with log.running():
        for number in range(1234):
            log.record(entry(number))

    assert await count_rows(database) == 1234
    assert log.counters() == {"waiting": 0, "written": 1234, "overflowed": 0, "failed": 0}


async def test_an_overflow_is_counted_and_shown(database: Database) -> None:
    log = RequestLog(database, Redactor(), RequestLogConfig(queue=10))

    async with log.running():
        for number in range(25):
            log.record(entry(number))
        assert log.counters() == {"waiting": 10, "written": 0, "overflowed": 15, "failed": 0}

    assert await count_rows(database) == 10


async def test_large_bodies_fill_the_queue_before_they_fill_the_memory(database: Database) -> None:
    log = RequestLog(database, Redactor(), RequestLogConfig())
    body = bytes(16 * 1024 * 1024)

    async with log.running():
        for number in range(8):
            log.record(entry(number, response_body=body))
        assert log.counters()["overflowed"] == 3


async def test_a_log_that_is_off_takes_nothing(database: Database) -> None:
    log = RequestLog(database, Redactor(), RequestLogConfig(enabled=False))

    async with log.running():
        log.record(entry())
        assert (await log.list_page({}, 10))["data"] == []


async def test_a_full_disk_is_waited_for(database: Database, log: RequestLog) -> None:
    await limit_size(database, 1)
    log.record(entry(request_body=bytes(50_000)))

    asking = asyncio.create_task(log.get("request-0"))
    await asyncio.sleep(0.02)
    await limit_size(database, 1_000_000)

    assert (await asking)["request_id"] == "request-0"
    assert log.counters()["failed"] == 0


async def test_a_disk_that_stays_full_costs_rows_and_not_the_writer(
    database: Database, log: RequestLog, caplog: pytest.LogCaptureFixture
) -> None:
    await limit_size(database, 1)
    log.record(entry(1, request_body=bytes(50_000)))
    with pytest.raises(NotFound):
        await log.get("request-1")
    await limit_size(database, 1_000_000)
    log.record(entry(2))

    assert (await log.get("request-2"))["request_id"] == "request-2"
    assert log.counters() == {"waiting": 0, "written": 1, "overflowed": 0, "failed": 1}
    assert "could not be written to the request log" in caplog.text


@pytest.mark.parametrize("wrong", [{"kind": "ftp"}, {"status_code": 10**30}, {"request_body": "text"}])
async def test_a_wrong_entry_does_not_take_its_neighbours_along(
    log: RequestLog, wrong: dict[str, Any]
) -> None:
    log.record(entry(1))
    log.record(entry(2, **wrong))
    log.record(entry(3))

    page = await log.list_page({}, 10)

    assert [row["request_id"] for row in page["data"]] == ["request-3", "request-1"]
    assert log.counters()["failed"] == 1


async def test_a_wrong_entry_alone_does_not_stop_the_writer(log: RequestLog) -> None:
    log.record(entry(1, request_body="text"))
    assert (await log.list_page({}, 10))["data"] == []
    log.record(entry(2))

    assert (await log.get("request-2"))["request_id"] == "request-2"
    assert log.counters() == {"waiting": 0, "written": 1, "overflowed": 0, "failed": 1}


async def test_old_calls_are_forgotten(database: Database) -> None:
    log = RequestLog(database, Redactor(), RequestLogConfig(retention_days=2))
    for age in (0, 1, 3, 400):
        log.record(entry(age, timestamp=time.time() - age * DAY))
    async with log.running():
        assert (await log.list_page({}, 10))["total"] == 4

    async with log.running():
        async with asyncio.timeout(5):
            while (page := await log.list_page({}, 10))["total"] == 4:
                await asyncio.sleep(0.01)

    assert [row["request_id"] for row in page["data"]] == ["request-0", "request-1"]


async def test_pages_by_number_and_by_cursor_show_the_same(log: RequestLog) -> None:
    for number in range(7):
        log.record(entry(number, timestamp=1795569794.0 + number // 3))

    numbered = [await log.list_page({}, 3, page=page) for page in (1, 2, 3)]
    keyset = [await log.list_page({}, 3)]
    while cursor := keyset[-1]["next_cursor"]:
        keyset.append(await log.list_page({}, 3, cursor=cursor))

    assert [page["data"] for page in numbered] == [page["data"] for page in keyset]
    assert [len(page["data"]) for page in numbered] == [3, 3, 1]
    assert [page["page"] for page in keyset] == [1, None, None]


async def test_a_large_total_says_that_it_goes_on(log: RequestLog) -> None:
    for number in range(10_001):
        log.record(entry(number))

    page = await log.list_page({}, 1)
    stats = await log.stats({"method": "none"}), await log.stats({"status_code": 200})

    assert (page["total"], page["total_is_exact"]) == (10_000, False)
    assert [(answer["total_requests"], answer["is_exact"]) for answer in stats] == [
        (0, True),
        (10_000, False),
    ]


async def test_the_sums_of_hours_and_of_rows_agree_for_any_two_times(log: RequestLog) -> None:
    for number in range(300):
        server, status = ("files", "memory")[number % 2], (200, 500)[number % 3 == 0]
        fields = {"server_name": server, "status_code": status, "duration_ms": float(number)}
        log.record(entry(number, timestamp=1795570000.0 + number * 60, **fields))
    times = ["2026-11-25T00:00:00.000Z", "2026-11-25T02:00:00.000Z", "2026-11-25T02:31:07.000Z"]
    times += ["2026-11-25T02:59:59.999Z", "2026-11-25T04:12:00.000Z", "2026-11-26T00:00:00.000Z"]

    for index, start in enumerate(times):
        for end in times[index:]:
            for filters in ({}, {"server_name": "files"}):
                window: Any = {"start_time": start, "end_time": end, **filters}
                by_hours, page = await log.stats(window), await log.list_page(window, 500)

                assert by_hours["is_exact"]
                assert by_hours["total_requests"] == page["total"]
                assert by_hours["error_count"] == sum(row["status_code"] == 500 for row in page["data"])
                mean = sum(row["duration_ms"] for row in page["data"]) / max(page["total"], 1)
                assert by_hours["avg_duration_ms"] == pytest.approx(mean, abs=0.001)


async def test_calls_can_be_deleted_all_or_before_a_time(log: RequestLog) -> None:
    for number in range(2500):
        log.record(entry(number))

    assert await log.delete("2026-11-25T02:00:00.000Z") == 2206
    assert (await log.stats({}))["total_requests"] == 294
    assert await log.delete() == 294
    assert (await log.list_page({}, 10))["data"] == []


async def test_asking_ends_while_calls_keep_coming(log: RequestLog) -> None:
    async def keep_recording() -> None:
        number = 0
        while True:
            log.record(entry(number := number + 1))
            await asyncio.sleep(0)

    busy = asyncio.create_task(keep_recording())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        assert (await log.list_page({}, 1))["data"]
        assert (await log.list_page({}, 1))["data"]
    busy.cancel()
    await asyncio.gather(busy, return_exceptions=True)


async def test_cancelled_readers_do_not_disturb_the_writer(log: RequestLog) -> None:
    for number in range(50):
        log.record(entry(number))
        asking = asyncio.create_task(log.list_page({}, 10))
        for _ in range(number % 5):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    assert (await log.list_page({}, 10))["total"] == 50

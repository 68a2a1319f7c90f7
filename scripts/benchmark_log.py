#!/usr/bin/env python3
"""Fills a million calls into a temporary request log and times questions, beside a SELECT by primary key.

Usage: python scripts/benchmark_log.py [ROWS]
"""

import asyncio
import random
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from archestra_gateway.config import RequestLogConfig
from archestra_gateway.log import Redactor
from archestra_gateway.services.mcp_request_log import Entry, RequestLog
from archestra_gateway.store.database import Database, fetch_all, open_database

BY_PRIMARY_KEY = "SELECT id, request_id, timestamp FROM mcp_request_log WHERE id = :id"
SERVERS = ("filesystem-server", "memory", "github", "ollama", "rare-server")
WEIGHTS = (40, 30, 20, 10, 0.001)
MONTH = 30 * 86400.0
HEADERS = {
    "Host": "localhost:54587",
    "Content-Type": "application/json",
    "Accept": "*/*",
    "User-Agent": "curl/8",
}
REQUEST = (
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_file","arguments":{"path":"/a"}}}'
)
RESPONSE = b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"' + b"x" * 200 + b'"}]}}'

Question = Callable[[], Awaitable[Any]]


def entry(chance: random.Random, begin: float) -> Entry:
    return Entry(
        kind="mcp",
        request_id=uuid.UUID(int=chance.getrandbits(128)).hex,
        timestamp=begin + chance.random() * 3600,
        server_name=chance.choices(SERVERS, WEIGHTS)[0],
        session_id=f"session-{chance.randrange(20_000)}",
        mcp_session_id=f"mcp-{chance.randrange(50_000)}",
        client_info={"user_agent": "curl/8", "client_name": "benchmark"},
        method=chance.choice(("tools/call", "tools/list", "resources/read")),
        tool_name="read_file",
        request_headers=HEADERS,
        request_body=REQUEST,
        response_headers=HEADERS,
        response_body=RESPONSE,
        status_code=chance.choices((200, 404, 500), (98, 1, 1))[0],
        duration_ms=chance.lognormvariate(2, 1),
    )


async def fill(log: RequestLog, rows: int) -> None:
    chance, started, recording, end = random.Random(1), time.perf_counter(), 0.0, time.time()
    for number in range(0, rows, 10_000):
        entries = [
            entry(chance, end - MONTH + MONTH * number / rows) for _ in range(min(10_000, rows - number))
        ]
        begun = time.perf_counter()
        for each in entries:
            log.record(each)
        recording += time.perf_counter() - begun
        await log.list_page({}, 1)
    seconds = time.perf_counter() - started
    print(f"record()             {recording / rows * 1e6:8.2f} µs")
    print(f"written              {rows / seconds:8.0f} rows/s (making the entries included)")


async def median_ms(question: Question, rounds: int = 11) -> float:
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        await question()
        times.append((time.perf_counter() - begun) * 1000)
    return sorted(times)[rounds // 2]


def moment(seconds_ago: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - seconds_ago))


def questions(log: RequestLog, rows: int, request_id: str, deep: str) -> dict[str, Question]:
    half: Any = {"start_time": moment(MONTH * 0.7), "end_time": moment(MONTH * 0.2)}
    return {
        "first page": lambda: log.list_page({}, 50),
        "page in the middle": lambda: log.list_page({}, 50, page=rows // 100),
        "cursor in the middle": lambda: log.list_page({}, 50, cursor=deep),
        "one server": lambda: log.list_page({"server_name": "memory"}, 50),
        "a rare server": lambda: log.list_page({"server_name": "rare-server"}, 50),
        "one session": lambda: log.list_page({"session_id": "session-7"}, 50),
        "failures": lambda: log.list_page({"status_code": 500}, 50),
        "server + method": lambda: log.list_page({"server_name": "memory", "method": "tools/list"}, 50),
        "server + session": lambda: log.list_page({"server_name": "memory", "session_id": "session-7"}, 50),
        "two weeks": lambda: log.list_page(half, 50),
        "one call": lambda: log.get(request_id),
        "stats": lambda: log.stats({}),
        "stats, two weeks": lambda: log.stats(half),
        "stats, one server": lambda: log.stats({"server_name": "memory"}),
        "stats, one session": lambda: log.stats({"session_id": "session-7"}),
        "stats, one method": lambda: log.stats({"method": "tools/list"}),
    }


async def measure(database: Database, log: RequestLog, rows: int) -> None:
    async def by_primary_key() -> None:
        async with database.read() as db:
            await fetch_all(db, BY_PRIMARY_KEY, {"id": rows // 2})

    base = await median_ms(by_primary_key, 101)
    print(f"SELECT by key        {base:8.2f} ms     1.0")
    (middle,) = (await log.list_page({}, 1, page=rows // 2))["data"]
    deep = f"{middle['timestamp']}_{middle['id']}"
    for name, question in questions(log, rows, middle["request_id"], deep).items():
        took = await median_ms(question)
        print(f"{name:20} {took:8.2f} ms {took / base:7.1f}")


async def main(rows: int) -> None:
    with TemporaryDirectory() as folder:
        async with open_database(Path(folder) / "gateway.db") as database:
            log = RequestLog(database, Redactor(), RequestLogConfig(retention_days=0))
            async with log.running():
                await fill(log, rows)
                await measure(database, log, rows)
                begun = time.perf_counter()
                await log.delete()
                print(f"delete all           {(time.perf_counter() - begun) * 1000:8.0f} ms")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))

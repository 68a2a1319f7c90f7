"""The gateway tells how it is doing, and says so when it can not work."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from archestra_gateway import __version__, keys
from archestra_gateway.config import Config, ServerConfig
from archestra_gateway.handlers import status
from archestra_gateway.schemas.status import Status
from archestra_gateway.services.status import StatusReport
from archestra_gateway.store.database import open_database
from archestra_gateway.web import cors, envelope, guard, route, strict
from archestra_gateway.web.connection import Runner
from archestra_gateway.web.route import Route

ROUTES = (
    Route("GET", "/healthz", status.health, "status.health"),
    Route("GET", "/readyz", status.ready, "status.ready"),
    Route("GET", "/api/status", status.get, "status.get"),
)


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[web.Application]:
    async with open_database(tmp_path / "gateway.db") as database:
        config = Config(server=ServerConfig(data_dir=tmp_path, base_url="http://gateway.test"))
        app = web.Application(middlewares=[envelope.errors, guard.guard])
        app[keys.CONFIG] = config
        app[keys.TOKEN] = "t" * 40
        app[keys.STOPPING] = asyncio.Event()
        app[keys.STATUS] = StatusReport(config, database, {"request_log": lambda: {"written": 3}})
        route.install(app, ROUTES)
        guard.install(app)
        cors.install(app)
        yield app


@contextlib.asynccontextmanager
async def asking(app: web.Application) -> AsyncIterator[Any]:
    runner = Runner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        async with ClientSession(f"http://127.0.0.1:{site.port}") as session:

            async def ask(target: str) -> tuple[int, Any]:
                async with session.get(target) as answer:
                    return answer.status, json.loads(await answer.read())

            yield site.port, ask
    finally:
        await runner.cleanup()


async def test_it_is_alive_and_ready(app: web.Application) -> None:
    async with asking(app) as (_, ask):
        assert await ask("/healthz") == (200, {"status": "ok"})
        assert await ask("/readyz") == (200, {"status": "ok"})


async def test_it_is_alive_and_not_ready_while_it_stops(app: web.Application) -> None:
    async with asking(app) as (_, ask):
        app[keys.STOPPING].set()

        code, answer = await ask("/readyz")

        assert (code, answer["error"]["message"]) == (503, "The gateway is stopping")
        assert (await ask("/healthz"))[0] == 200


async def test_its_status_names_every_part(app: web.Application, tmp_path: Path) -> None:
    async with asking(app) as (port, ask):
        _, answer = await ask("/api/status")

    assert answer["uptime_seconds"] >= 0
    assert answer["database"]["schema_version"] >= 1
    assert answer["database"]["size"] > 0
    told = {name: answer[name] for name in answer.keys() - {"uptime_seconds", "started_at", "database"}}
    assert told == {
        "version": __version__,
        "pid": os.getpid(),
        "base_url": "http://gateway.test",
        "addresses": [f"127.0.0.1:{port}"],
        "data_dir": str(tmp_path),
        "sections": {"request_log": {"written": 3}},
    }


async def test_its_status_is_what_the_schema_promises(app: web.Application) -> None:
    async with asking(app) as (_, ask):
        _, answer = await ask("/api/status")

    assert isinstance(strict.structure(answer, Status), Status)

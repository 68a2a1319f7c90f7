"""A gateway of one route: prints its port, and at the end of stdin the CPU seconds that it took."""

import asyncio
import logging
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop
from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.config import Config, ServerConfig
from archestra_gateway.web import cors, envelope, guard, route
from archestra_gateway.web.connection import Runner
from archestra_gateway.web.route import Route


async def health(request: web.Request) -> web.StreamResponse:
    return envelope.json({"status": "ok"})


async def main(folder: Path) -> None:
    app = web.Application(middlewares=[envelope.errors, guard.guard])
    app[keys.CONFIG] = Config(server=ServerConfig(port=0, data_dir=folder))
    app[keys.TOKEN] = "t" * 40
    app[keys.STOPPING] = asyncio.Event()
    route.install(app, [Route("GET", "/healthz", health, "status.health")])
    guard.install(app)
    cors.install(app)
    runner = Runner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(site.port, flush=True)
    before = time.process_time()
    await asyncio.to_thread(sys.stdin.read)
    print(time.process_time() - before)
    await runner.cleanup()


logging.basicConfig(level=logging.WARNING, format="%(message)s")
with TemporaryDirectory() as name:
    (uvloop.run if sys.argv[1] == "uvloop" else asyncio.run)(main(Path(name)))

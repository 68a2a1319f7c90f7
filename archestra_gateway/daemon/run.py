"""One run of the daemon: lock, listen, serve, stop."""

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import attrs
from aiohttp import web

from archestra_gateway import __version__, keys, timestamp
from archestra_gateway import log as logs
from archestra_gateway.app import create_app
from archestra_gateway.config import Config
from archestra_gateway.daemon import instance, process, systemd
from archestra_gateway.daemon.instance import Instance
from archestra_gateway.daemon.listen import BACKLOG, listen
from archestra_gateway.daemon.stop import Stop
from archestra_gateway.services import data_dir
from archestra_gateway.web.connection import Runner

log = logging.getLogger(__name__)

CLEANUP_GRACE = 5.0


def run(
    config: Config,
    environment: Mapping[str, str],
    parent: int | None = None,
    config_file: Path | None = None,
) -> None:
    """Returns after a clean stop; with `parent`, also when that process is gone. Raises CommandError.

    `config_file` is the one that was named to the daemon, and that its clients' bridges start another with.
    """
    process.fill_standard_descriptors()
    logs.set_up(config.log, logs.Redactor())
    data_dir.prepare(config.server.data_dir)
    process.raise_open_files()
    with instance.hold(config.server.data_dir) as lock:
        me = Instance(os.getpid(), __version__, timestamp.now(), str(config.server.data_dir))
        lock.publish(me)
        sockets = systemd.activated_sockets(environment) or listen(config.server.bind, config.server.port)
        opened = _as_opened(config, sockets)
        me = attrs.evolve(
            me,
            port=opened.server.port,
            url=opened.server.url,
            addresses=tuple(map(address_of, sockets)),
        )

        def announce() -> None:
            lock.publish(me)
            _announce(me, as_json=config.server.port == 0 or not os.isatty(process.STDOUT))

        with asyncio.Runner(loop_factory=_loop_factory()) as loop:
            loop.run(_live(opened, sockets, environment, announce, parent, config_file))
    log.info("Stopped")


async def _live(
    config: Config,
    sockets: list[socket.socket],
    environment: Mapping[str, str],
    announce: Callable[[], None],
    parent: int | None,
    config_file: Path | None,
) -> None:
    stop = Stop()
    stop.on_signals()
    async with _serving(config, sockets, environment, config_file):
        process.calm_garbage_collector()
        announce()
        systemd.notify(environment, "READY=1")
        await stop.wait(parent)
        systemd.notify(environment, "STOPPING=1")


@asynccontextmanager
async def _serving(
    config: Config,
    sockets: list[socket.socket],
    environment: Mapping[str, str],
    config_file: Path | None,
) -> AsyncIterator[None]:
    app = create_app(config, environment, config_file)
    logs.set_up(config.log, app[keys.REDACTOR])
    runner = Runner(app)
    try:
        await runner.setup()
        for opened in sockets:
            await web.SockSite(runner, opened, backlog=BACKLOG).start()
        yield
    finally:
        await _clean_up(runner, config.server.shutdown_timeout + CLEANUP_GRACE)


def _as_opened(config: Config, sockets: list[socket.socket]) -> Config:
    """The addresses as they are, whoever opened them: whether the token is asked for depends on them."""
    names = [opened.getsockname()[:2] for opened in sockets]
    server = attrs.evolve(config.server, bind=tuple(host for host, _ in names), port=names[0][1])
    for host in server.bind:
        if not ip_address(host).is_loopback:
            log.warning("Other machines may reach %s, so every request needs the token", host)
    return attrs.evolve(config, server=server)


async def _clean_up(runner: Runner, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await runner.cleanup()
    except TimeoutError:
        log.error("Not everything stopped within %g seconds; ending anyway", seconds)


def address_of(opened: socket.socket) -> str:
    """The URL at which a program on this machine reaches the socket."""
    host, port = opened.getsockname()[:2]
    address = ip_address(host)
    if address.is_unspecified:
        address = ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://[{address}]:{port}" if address.version == 6 else f"http://{address}:{port}"


def _announce(me: Instance, *, as_json: bool) -> None:
    """One line on stdout for the program that started us, the same in words on stderr for people."""
    log.info("Listening on %s for %s, data in %s", ", ".join(me.addresses), me.url, me.data_dir)
    if as_json:
        with contextlib.suppress(OSError):
            # Unbuffered: when the reader has gone, Python would complain about the rest at the end.
            os.write(process.STDOUT, json.dumps({"listening": attrs.asdict(me)}).encode() + b"\n")


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop

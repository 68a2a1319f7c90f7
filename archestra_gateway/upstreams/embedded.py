"""A model without Ollama: llama.cpp in a child process, started at the first call, ended when idle."""

import asyncio
import contextlib
import importlib.util
import logging
import os
import secrets
import shutil
import signal
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs

from archestra_gateway.config import EmbeddedConfig
from archestra_gateway.errors import GatewayError, UpstreamUnavailable
from archestra_gateway.protocol.plain_json import decoded
from archestra_gateway.providers.embedded import CONTEXT, LIBRARY
from archestra_gateway.sandbox.command import Launch
from archestra_gateway.sandbox.part import Part
from archestra_gateway.schemas.permissions import GIB, Limits
from archestra_gateway.upstreams.http_client import HttpClient
from archestra_gateway.upstreams.origin import Origin
from archestra_gateway.upstreams.watchdog import Watchdog

log = logging.getLogger(__name__)

PROGRAM = str(Path(__file__).with_name("embedded_server.py"))
SOCKET = "model.sock"
LONGEST_NAME = 100
MEMORY = 4 * GIB
"""Besides the model's file, which is mapped."""
START_TIMEOUT = 120.0
END_TIMEOUT = 5.0
BUSY_PAUSE = 0.5
NO_LIBRARY = (
    f"The embedded model needs the package {LIBRARY}: install it with `pip install {LIBRARY}`, "
    "or use Ollama (https://ollama.com/download)"
)
NO_MODEL = "There is no model at {path}. `archestra-gateway embedded install` brings a small one"

Launcher = Callable[[Part], Awaitable[Launch]]


@attrs.frozen
class Running:
    """`key` is what every request must carry; `home` is its folder, with the socket that it listens on."""

    process: Process
    home: str
    origin: Origin
    key: str = attrs.field(repr=False)


class Embedded:
    """One process for everybody; it dies with the gateway, by the watchdog and by the end of its stdin."""

    def __init__(
        self,
        model: Path,
        config: EmbeddedConfig,
        launcher: Launcher,
        watchdog: Watchdog,
        http: HttpClient,
        output: Path,
    ) -> None:
        self._model = model
        self._config = config
        self._launcher = launcher
        self._watchdog = watchdog
        self._http = http
        self._output = output
        self._lock = asyncio.Lock()
        self._running: Running | None = None
        self._idle: asyncio.Task[None] | None = None
        self._called = 0.0
        self._sandbox = ""

    @property
    def is_available(self) -> bool:
        return self._problem() is None

    def describe(self) -> dict[str, Any]:
        """For the gateway's status; `problem` says what is missing, and what to do."""
        running = self._running
        is_running = running is not None and running.process.returncode is None
        return {
            "model": str(self._model),
            "problem": self._problem(),
            "pid": running.process.pid if running is not None and is_running else None,
            "sandbox": self._sandbox if is_running else None,
        }

    async def start(self) -> Running:
        """Where it listens and the key for it. Callers who come at the same time share one start.

        Raises UpstreamUnavailable with what to do.
        """
        async with self._lock:
            self._called = asyncio.get_running_loop().time()
            running = self._running
            if running is not None and running.process.returncode is None:
                return running
            await self._end()
            if problem := self._problem():
                raise UpstreamUnavailable(problem)
            self._running = await self._spawn()
            self._idle = asyncio.create_task(self._end_when_idle(), name="embedded model idle")
            return self._running

    async def stop(self) -> None:
        idle, self._idle = self._idle, None
        if idle is not None:
            idle.cancel()
            await asyncio.wait([idle])
        async with self._lock:
            await self._end()

    def _problem(self) -> str | None:
        if importlib.util.find_spec(LIBRARY) is None:
            return NO_LIBRARY
        return None if self._model.is_file() else NO_MODEL.format(path=self._model)

    async def _spawn(self) -> Running:
        home, key = self._home(), secrets.token_urlsafe(24)
        try:
            process = await self._start_process(await self._launcher(self._part(home)))
        except BaseException:
            shutil.rmtree(home, ignore_errors=True)
            raise
        origin = Origin("http", "embedded", 80, os.path.join(home, SOCKET))
        running = Running(process, home, origin, key)
        try:
            await self._ready(running)
        except BaseException:
            await self._kill(running)
            raise
        log.info("Started the embedded model %s (pid %s)", self._model.name, process.pid)
        return running

    def _home(self) -> str:
        """In the data directory, unless the name of a socket there would be longer than systems allow."""
        home = self._output.parent / "embedded"
        if len(os.fsencode(home / SOCKET)) > LONGEST_NAME:
            return tempfile.mkdtemp(prefix="archestra-")
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(mode=0o700)
        return str(home)

    def _part(self, home: str) -> Part:
        model, library = str(self._model), importlib.util.find_spec(LIBRARY)
        assert library is not None  # noqa: S101 - there is no problem
        assert library.origin is not None  # noqa: S101 - a package
        return Part(
            name="embedded model",
            script=PROGRAM,
            arguments=(model, SOCKET, str(CONTEXT), str(self._config.max_tokens)),
            home=home,
            needs=tuple(dict.fromkeys((model, os.path.realpath(model)))),
            modules=(str(Path(library.origin).parent.parent),),
            limits=Limits(memory=MEMORY + self._model.stat().st_size),
        )

    async def _start_process(self, launch: Launch) -> Process:
        try:
            with self._output.open("wb") as output:
                process = await asyncio.create_subprocess_exec(
                    *launch.argv,
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=output,
                    env=launch.env,
                    cwd=launch.cwd,
                    pass_fds=launch.descriptors,
                    start_new_session=True,
                )
        finally:
            launch.close_descriptors()
        self._watchdog.guard(process.pid)
        self._sandbox = launch.sandbox
        return process

    async def _ready(self, running: Running) -> None:
        process = running.process
        assert process.stdin is not None  # noqa: S101 - a pipe
        assert process.stdout is not None  # noqa: S101 - a pipe
        try:
            async with asyncio.timeout(START_TIMEOUT):
                process.stdin.write(f"{running.key}\n".encode())
                line = await process.stdout.readline()
        except TimeoutError as error:
            raise UpstreamUnavailable(
                f"The embedded model did not load in {START_TIMEOUT:g} seconds; see {self._output}"
            ) from error
        if not line:
            code = await process.wait()
            raise UpstreamUnavailable(
                f"The embedded model could not be loaded (exit code {code}); see {self._output}"
            )

    async def _end_when_idle(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            left = self._called + self._config.idle_timeout - loop.time()
            await asyncio.sleep(max(left, BUSY_PAUSE))
            async with self._lock:
                is_called = self._called + self._config.idle_timeout > loop.time()
                if not is_called and not await self._is_busy():
                    log.info("Ending the embedded model, which nobody calls")
                    await self._end()
                    return

    async def _is_busy(self) -> bool:
        """A long answer is no idleness."""
        if (running := self._running) is None:
            return False
        headers = [("Authorization", f"Bearer {running.key}")]
        with contextlib.suppress(GatewayError):
            async with await self._http.send("GET", running.origin, "/slots", headers, b"") as response:
                slots: Any = decoded(b"".join([piece async for piece in response]))
            return isinstance(slots, list) and any(slot.get("is_processing") for slot in slots)
        return False

    async def _end(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            await self._kill(running)

    async def _kill(self, running: Running) -> None:
        """It has nothing to put in order. All of it has ended when nobody holds its output any more."""
        process = running.process
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_TIMEOUT):
                await process.communicate()
        self._watchdog.release(process.pid)
        await asyncio.to_thread(shutil.rmtree, running.home, ignore_errors=True)

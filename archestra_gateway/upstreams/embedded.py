"""A model without Ollama: llama.cpp in a child process, started at the first call, ended when idle."""

import asyncio
import contextlib
import importlib.util
import logging
import os
import secrets
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from archestra_gateway.errors import GatewayError, UpstreamUnavailable
from archestra_gateway.protocol.plain_json import decoded
from archestra_gateway.sandbox.command import inherited
from archestra_gateway.upstreams.http_client import HttpClient
from archestra_gateway.upstreams.origin import Origin, split_url
from archestra_gateway.upstreams.watchdog import Watchdog

log = logging.getLogger(__name__)

LIBRARY = "xllamacpp"
PROGRAM = "archestra_gateway.upstreams.embedded_server"
START_TIMEOUT = 120.0
BUSY_PAUSE = 0.5
NO_LIBRARY = (
    f"The embedded model needs the package {LIBRARY}: install it with `pip install {LIBRARY}`, "
    "or use Ollama (https://ollama.com/download)"
)
NO_MODEL = "There is no model at {path}. `archestra-gateway embedded install` brings a small one"


@attrs.frozen
class Running:
    """`key` is what every request must carry: other programs on this machine reach the port too."""

    process: Process
    origin: Origin
    key: str = attrs.field(repr=False)


class Embedded:
    """One process for everybody; it dies with the gateway, by the watchdog and by the end of its stdin."""

    def __init__(
        self,
        model: Path,
        idle_timeout: float,
        environment: Mapping[str, str],
        watchdog: Watchdog,
        http: HttpClient,
        output: Path,
    ) -> None:
        self._model = model
        self._idle_timeout = idle_timeout
        self._environment = environment
        self._watchdog = watchdog
        self._http = http
        self._output = output
        self._lock = asyncio.Lock()
        self._running: Running | None = None
        self._idle: asyncio.Task[None] | None = None
        self._called = 0.0

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
        key = secrets.token_urlsafe(24)
        with self._output.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", PROGRAM, str(self._model)),
                stdin=PIPE,
                stdout=PIPE,
                stderr=output,
                env={**inherited(self._environment), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,
            )
        self._watchdog.guard(process.pid)
        try:
            return Running(process, await self._ready(process, key), key)
        except BaseException:
            await self._kill(process)
            raise

    async def _ready(self, process: Process, key: str) -> Origin:
        assert process.stdin is not None  # noqa: S101 - a pipe
        assert process.stdout is not None  # noqa: S101 - a pipe
        try:
            async with asyncio.timeout(START_TIMEOUT):
                process.stdin.write(f"{key}\n".encode())
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
        origin, _ = split_url(line.decode().strip())
        log.info("Started the embedded model %s (pid %s) at %s", self._model.name, process.pid, origin)
        return origin

    async def _end_when_idle(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            left = self._called + self._idle_timeout - loop.time()
            await asyncio.sleep(max(left, BUSY_PAUSE))
            async with self._lock:
                is_called = self._called + self._idle_timeout > loop.time()
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
            await self._kill(running.process)

    async def _kill(self, process: Process) -> None:
        """It has nothing to put in order."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        self._watchdog.release(process.pid)
        await process.wait()

"""An Ollama server of our own, where none runs: started at the first call, ended with the gateway."""

import asyncio
import contextlib
import logging
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.sandbox.command import inherited
from archestra_gateway.sandbox.path import SearchPath
from archestra_gateway.upstreams.origin import Origin
from archestra_gateway.upstreams.watchdog import Watchdog

log = logging.getLogger(__name__)

START_TIMEOUT = 30.0
STOP_TIMEOUT = 5.0
CONNECT_TIMEOUT = 2.0
POLL_SECONDS = 0.05
OWN_PREFIXES = ("OLLAMA_", "CUDA_", "NVIDIA_", "HIP_", "HSA_", "ROCR_", "GGML_")
"""How a person tells Ollama where its models are and which GPU to use."""

DOWNLOAD = "install it from https://ollama.com/download"


class Ollama:
    """Stops only what it has started; what it has started dies with the gateway, by the watchdog."""

    def __init__(
        self,
        origin: Origin,
        find_path: Callable[[], Awaitable[SearchPath]],
        environment: Mapping[str, str],
        watchdog: Watchdog,
        output: Path,
    ) -> None:
        self._origin = origin
        self._find_path = find_path
        self._environment = environment
        self._watchdog = watchdog
        self._output = output
        self._lock = asyncio.Lock()
        self._process: Process | None = None

    async def start(self) -> None:
        """Returns when it accepts connections. Callers who come at the same time share one start.

        Raises UpstreamUnavailable with what to do.
        """
        async with self._lock:
            if await accepts(self._origin):
                return
            path = await self._find_path()
            program = path.which("ollama")
            if program is None:
                raise UpstreamUnavailable(
                    f"Ollama is not running at {self._origin}, and `ollama` is not on the PATH; {DOWNLOAD}"
                )
            await self.stop()
            process = await self._spawn(program, path)
            try:
                await self._ready(process)
            except BaseException:
                await self.stop()
                raise

    async def stop(self) -> None:
        """Ask it to end, with everything it started, then insist."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            _signal(process, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_TIMEOUT):
                    await process.wait()
        finally:
            _signal(process, signal.SIGKILL)
            self._watchdog.release(process.pid)
        await process.wait()

    async def _spawn(self, program: str, path: SearchPath) -> Process:
        own = {name: value for name, value in self._environment.items() if name.startswith(OWN_PREFIXES)}
        env = {
            **inherited(self._environment),
            **own,
            "PATH": str(path),
            "OLLAMA_HOST": self._origin.authority,
        }
        try:
            with self._output.open("wb") as output:
                process = await asyncio.create_subprocess_exec(
                    program,
                    "serve",
                    stdin=DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=env,
                    cwd=env["HOME"],
                    start_new_session=True,
                )
        except OSError as error:
            raise UpstreamUnavailable(f"{program} can not be started: {error.strerror}") from error
        self._process = process
        self._watchdog.guard(process.pid)
        log.info("Started %s serve (pid %s) for %s", program, process.pid, self._origin)
        return process

    async def _ready(self, process: Process) -> None:
        try:
            async with asyncio.timeout(START_TIMEOUT):
                while not await accepts(self._origin):
                    if process.returncode is not None:
                        raise UpstreamUnavailable(
                            f"`ollama serve` ended with exit code {process.returncode}: {self._last_line()}"
                        )
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            raise UpstreamUnavailable(
                f"`ollama serve` did not listen on {self._origin} in time; see {self._output}"
            ) from error

    def _last_line(self) -> str:
        lines = self._output.read_text(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "it said nothing")


async def accepts(origin: Origin) -> bool:
    """Whether somebody listens there."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            _, writer = await asyncio.open_connection(origin.host, origin.port)
    except OSError:  # TimeoutError is one
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _signal(process: Process, number: signal.Signals) -> None:
    """To the whole group; a runner that outlives its server is ours to end as well."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)

"""An MCP server that is a child process and speaks over stdin and stdout."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, cast

from archestra_gateway.config import McpConfig
from archestra_gateway.errors import GatewayError, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from archestra_gateway.protocol import jsonrpc
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.protocol.lines import Lines, LongLineError
from archestra_gateway.sandbox.command import Launch
from archestra_gateway.sandbox.watch import Bounds, exceeded, prefer_for_killing
from archestra_gateway.upstreams.dialogue import Call, Dialogue
from archestra_gateway.upstreams.stderr import ChildStderr, Stderr
from archestra_gateway.upstreams.watchdog import Watchdog

log = logging.getLogger(__name__)

PIPE_SIZE = 1024 * 1024
WRITE_BUFFER = 1024 * 1024
LAST_WORDS = 0.5
GRACE = 1.0
OnEnd = Callable[["Child", GatewayError], None]
STDIN, STDOUT, STDERR = 0, 1, 2


class Child(asyncio.SubprocessProtocol):
    """`on_end` gets the error that everybody who waited got, unless the child was stopped by order."""

    keeps_session = True

    def __init__(
        self, name: str, limits: McpConfig, stderr: Stderr, watchdog: Watchdog, on_end: OnEnd
    ) -> None:
        self.name = name
        self.pid = 0
        self.sandbox = "none"
        self.dialogue = Dialogue(limits, self._tell)
        self._on_end = on_end
        self._log = stderr
        self._stderr = ChildStderr(stderr)
        self._watchdog = watchdog
        self._lines = Lines(limits.max_message)
        self._writable = asyncio.Event()
        self._writable.set()
        self._unsent: list[bytes] = []
        self._open_parts = {"exit", STDOUT, STDERR}
        self._is_stopping = False
        self._ended = asyncio.Event()
        self._launch: Launch | None = None
        self._watch: asyncio.Task[None] | None = None
        self._transport: asyncio.SubprocessTransport
        self._stdin: asyncio.WriteTransport

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()

    async def start(self, launch: Launch) -> None:
        """Not yet initialized. Raises UpstreamUnavailable."""
        loop = asyncio.get_running_loop()
        try:
            await loop.subprocess_exec(
                lambda: self,
                *launch.argv,
                env=launch.env,
                cwd=launch.cwd,
                start_new_session=True,
                pass_fds=launch.descriptors,
            )
        except OSError as error:
            launch.close()
            raise UpstreamUnavailable(
                f"The MCP server {self.name} could not be started: {launch.argv[0]}: {error.strerror}",
                name=self.name,
                command=launch.argv[0],
            ) from error
        finally:
            launch.close_descriptors()
        self._begin(launch)

    def _begin(self, launch: Launch) -> None:
        """What lives with the child; it may have ended already."""
        self.sandbox = launch.sandbox
        if self.has_ended:
            launch.close()
            return
        self._launch = launch
        prefer_for_killing(self.pid)
        if launch.egress is not None:
            launch.egress.begin()
        if launch.bounds is not None:
            self._watch = asyncio.create_task(self._keep_within(launch.bounds))

    async def _keep_within(self, bounds: Bounds) -> None:
        sentence = await exceeded(self.pid, bounds)
        self._finish(UpstreamError(f"The MCP server {self.name} was ended: {sentence}", name=self.name))

    async def call(self, call: Call) -> Message:
        return await self.dialogue.ask(call, self._write)

    def begin_call(self, call: Call) -> bool:
        text = self.dialogue.begin(call) if self._writable.is_set() else None
        if text is not None:
            self._put(text)
        return text is not None

    async def send(self, message: Message) -> None:
        """A notification, or an answer to something the server asked."""
        try:
            async with asyncio.timeout(self.dialogue.limits.request_timeout):
                await self._write(jsonrpc.line(message))
        except TimeoutError as error:
            raise UpstreamTimeout(
                f"The MCP server {self.name} does not read what it is sent", name=self.name
            ) from error

    async def stop(self) -> None:
        """Close stdin, then SIGTERM, then SIGKILL for the whole group, with a moment between."""
        self._is_stopping = True
        self.dialogue.end(UpstreamUnavailable(f"The MCP server {self.name} was stopped", name=self.name))
        self._send_unsent()
        self._stdin.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if await self._ends_within(GRACE):
                return
            self._kill(number)
        await self._ends_within(GRACE)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)  # uvloop's is no subclass
        self.pid = self._transport.get_pid()
        self._watchdog.guard(self.pid)
        stdin = cast(asyncio.WriteTransport, self._transport.get_pipe_transport(STDIN))
        self._stdin = stdin
        if stdin.is_closing():  # uvloop closes it before this when the child is dead already
            return
        stdin.set_write_buffer_limits(high=WRITE_BUFFER)
        _enlarge(stdin)
        _enlarge(self._transport.get_pipe_transport(STDOUT))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == STDERR:
            self._stderr.feed(data)
            return
        try:
            lines = self._lines.feed(data)
        except LongLineError:
            self._finish(
                UpstreamError(f"The MCP server {self.name} sent a message that is too long", name=self.name)
            )
            return
        for line in lines:
            self._receive(line)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._close_part(fd)

    def process_exited(self) -> None:
        self._kill(signal.SIGKILL)  # what it started may hold its pipes
        self._close_part("exit")

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def _write(self, text: bytes) -> None:
        if not self._writable.is_set():
            await self._writable.wait()
        self._put(text)

    def _tell(self, message: Message) -> None:
        self._put(jsonrpc.line(message))

    def _put(self, text: bytes) -> None:
        """What is said in one turn of the loop leaves in one write, and wakes the server once."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._send_unsent)
        self._unsent.append(text)

    def _send_unsent(self) -> None:
        if self._unsent and not self._stdin.is_closing():
            self._stdin.write(b"".join(self._unsent))
        self._unsent.clear()

    def _receive(self, line: bytes) -> None:
        if not line or line.isspace():
            return
        try:
            self.dialogue.receive(line)
        except jsonrpc.ProtocolError as error:
            text = line[:200].decode(errors="replace")
            self._log.note(f"stdout is not an MCP message ({error.message}): {text}")

    def _close_part(self, part: Any) -> None:
        """The end has three parts; the first of stdout and exit gives the others a moment for last words."""
        self._open_parts.discard(part)
        if not self._open_parts:
            self._finish(self._end())
        elif part in ("exit", STDOUT):
            asyncio.get_running_loop().call_later(LAST_WORDS, self._finish_anyway)

    def _finish_anyway(self) -> None:
        if not self.has_ended:
            self._finish(self._end())

    def _finish(self, error: GatewayError) -> None:
        if self.has_ended:
            return
        self._ended.set()
        self._writable.set()
        self._kill(signal.SIGKILL)
        self._watchdog.release(self.pid)
        self._transport.close()
        if self._launch is not None:
            self._launch.close()
        if self._watch is not None:
            self._watch.cancel()
        self.dialogue.end(error)
        if not self._is_stopping:
            self._on_end(self, error)

    def _end(self) -> UpstreamError:
        code = self._transport.get_returncode()
        how = _how_it_ended(code)
        self._stderr.flush()
        words = self._stderr.last_words()
        said = f". It last said: {words[-1]}" if words else ""
        details = {"name": self.name, "exit_code": code, "stderr": words}
        return UpstreamError(f"The MCP server {self.name} {how}{said}", **details)

    def _kill(self, number: int) -> None:
        if not self.has_ended or number == signal.SIGKILL:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    async def _ends_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)
        return self.has_ended


def _how_it_ended(code: int | None) -> str:
    if code is None:
        return "closed its output"
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _enlarge(pipe: asyncio.BaseTransport | None) -> None:
    """Fewer wake-ups for large messages, where the system lets us."""
    if sys.platform == "linux" and pipe is not None:
        import fcntl

        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(pipe.get_extra_info("pipe").fileno(), fcntl.F_SETPIPE_SZ, PIPE_SIZE)

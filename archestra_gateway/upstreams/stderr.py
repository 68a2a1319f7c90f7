"""The last lines that a server wrote to its stderr."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

LONGEST = 4096
LAST_WORDS = 5


class Line(NamedTuple):
    time: float
    text: str


class Stderr:
    """A bounded ring for all processes of a server; `clean` takes secrets out when a line is shown."""

    def __init__(self, size: int, clean: Callable[[str], str]) -> None:
        self.position = 0
        self._ring: deque[tuple[float, bytes]] = deque(maxlen=size)
        self._clean = clean
        self._more = asyncio.Event()

    def append(self, lines: list[bytes]) -> None:
        now = time.time()
        self.position += len(lines)
        self._ring.extend((now, line) for line in lines)
        self._more.set()
        self._more = asyncio.Event()

    def note(self, text: str) -> None:
        """A remark of the gateway's own."""
        self.append([f"[gateway] {text}".encode()])

    def show(self, line: bytes) -> str:
        return self._clean(line.decode(errors="replace"))

    def since(self, position: int) -> list[Line]:
        """The lines after the first `position` ever written, as far as they are kept."""
        first = self.position - len(self._ring)
        lines = islice(self._ring, max(0, position - first), None)
        return [Line(when, self.show(text)) for when, text in lines]

    def last(self, count: int) -> list[str]:
        return [line.text for line in self.since(self.position - count)]

    async def wait(self, position: int) -> None:
        """Until there is a line after `position`."""
        while self.position <= position:
            await self._more.wait()


class ChildStderr:
    """What one process writes, in whatever pieces it comes; of an endless line the beginning is kept."""

    def __init__(self, stderr: Stderr) -> None:
        self._stderr = stderr
        self._unfinished = b""
        self._last: deque[bytes] = deque(maxlen=LAST_WORDS)

    def feed(self, data: bytes) -> None:
        *complete, rest = data.split(b"\n")
        if complete:
            complete[0] = self._unfinished + complete[0]
            self._unfinished = rest[:LONGEST]
            self._append([line[:LONGEST].rstrip(b"\r") for line in complete])
        elif len(self._unfinished) < LONGEST:
            self._unfinished += rest[: LONGEST - len(self._unfinished)]

    def flush(self) -> None:
        """The process is gone: what it did not finish is a line too."""
        if self._unfinished:
            self._append([self._unfinished])
            self._unfinished = b""

    def last_words(self) -> list[str]:
        return [self._stderr.show(line) for line in self._last]

    def _append(self, lines: list[bytes]) -> None:
        self._last.extend(line for line in lines[-LAST_WORDS:] if line.strip())
        self._stderr.append(lines)

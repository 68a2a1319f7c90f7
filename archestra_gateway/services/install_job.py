"""One installation while it goes on: what it says, to everybody who listens, and how it ended."""

import asyncio
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from itertools import islice
from typing import Any

import attrs

from archestra_gateway.errors import GatewayError
from archestra_gateway.packages.npm import FETCHED
from archestra_gateway.packages.report import Step
from archestra_gateway.protocol.lines import Lines, LongLineError

MOST_EVENTS = 2000
LAST_WORDS = 10
LONGEST = 4096
ARCHIVE = b".tgz "
GONE = re.compile(r"A complete log of this run can be found in")
"""npm's words about a file that goes with the folder."""


@attrs.frozen
class Note:
    """`kind` is `step`, `progress` or `line`."""

    kind: str
    data: dict[str, Any]


@attrs.define(eq=False)
class Job:
    """`clean` takes secrets out of what is shown."""

    name: str
    clean: Callable[[str], str]
    current: Step = "waiting"
    done: int = 0
    total: int = 0
    task: "asyncio.Task[None] | None" = None
    error: GatewayError | None = None
    is_over: bool = False
    begun: float = attrs.field(factory=time.monotonic)
    _notes: deque[Note] = attrs.field(factory=lambda: deque(maxlen=MOST_EVENTS))
    _position: int = 0
    _more: asyncio.Event = attrs.field(factory=asyncio.Event)
    _words: deque[str] = attrs.field(factory=lambda: deque(maxlen=LAST_WORDS))
    _lines: Lines = attrs.field(factory=lambda: Lines(LONGEST))

    def step(self, step: Step) -> None:
        self.current = step
        self._tell("step", step=step)

    def progress(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        self._tell("progress", done=done, total=total)

    def feed(self, data: bytes) -> None:
        try:
            lines = self._lines.feed(data)
        except LongLineError:
            self._lines = Lines(LONGEST)
            return
        for line in lines:
            self._hear(line)

    def last_words(self) -> list[str]:
        return list(self._words)

    def end(self, error: GatewayError | None) -> None:
        self.error, self.is_over = error, True
        self._wake()

    @property
    def seconds(self) -> int:
        return round(time.monotonic() - self.begun)

    async def notes(self) -> AsyncIterator[Note]:
        """Those that are there, and those that come, to the end."""
        position = 0
        while True:
            first = self._position - len(self._notes)
            fresh = list(islice(self._notes, max(0, position - first), None))
            position, is_over, more = self._position, self.is_over, self._more
            for note in fresh:
                yield note
            if self._position > position:
                continue
            if is_over:
                return
            await more.wait()

    def _hear(self, line: bytes) -> None:
        if line.startswith(FETCHED):
            if ARCHIVE in line and self.done < self.total:
                self.progress(self.done + 1, self.total)
            return
        text = self.clean(line.decode(errors="replace").strip())
        if text and not GONE.search(text):
            self._words.append(text)
            self._tell("line", text=text)

    def _tell(self, kind: str, **data: Any) -> None:
        self._notes.append(Note(kind, data))
        self._position += 1
        self._wake()

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()

"""One running answer: what it has streamed so far, for any number of readers, in bounded memory."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import attrs

from archestra_gateway.agent import chunks
from archestra_gateway.agent.chunks import Chunk
from archestra_gateway.agent.message import Message
from archestra_gateway.store import agent_run as store
from archestra_gateway.store.database import Database

KEPT = 32 * 1024
"""Bytes of frames that stay in memory although the database has them: most readers are near the end."""
BLOCK = 64 * 1024
ROWS_AT_ONCE = 16


@attrs.define
class Batch:
    """Frames with the numbers `first` to `last`."""

    first: int
    last: int
    frames: bytes


@attrs.define(eq=False)
class Run:
    """Chunks are numbered from 1. `changed` hears that there is something to be written."""

    id: str
    chat_id: str
    message: Message
    changed: Callable[["Run"], None]
    last: int = 0
    readers: int = 0
    has_ended: bool = False
    was_stopped: bool = False
    is_finishing: bool = False
    task: asyncio.Task[None] | None = None
    _frames: list[bytes] = attrs.field(factory=list)
    _first: int = 1
    _bytes: int = 0
    _written: int = 0
    _news: asyncio.Event = attrs.field(factory=asyncio.Event)

    def emit(self, chunk: Chunk) -> None:
        self.last += 1
        frame = chunks.frame(chunk, self.last)
        self.message.apply(chunk)
        self._frames.append(frame)
        self._bytes += len(frame)
        self._wake()
        self.changed(self)

    def end(self) -> None:
        """Nothing more comes; readers leave when they have read all of it."""
        self.has_ended = True
        self._wake()

    def unwritten(self) -> Batch | None:
        """What the database does not have yet."""
        if self._written >= self.last:
            return None
        return Batch(self._written + 1, self.last, b"".join(self._frames[self._written + 1 - self._first :]))

    def wrote(self, last: int) -> None:
        """The frames up to `last` can be read there, so that only the newest stay here."""
        self._written = last
        gone = 0
        while self._bytes > KEPT and self._first + gone <= last:
            self._bytes -= len(self._frames[gone])
            gone += 1
        del self._frames[:gone]
        self._first += gone

    async def read(self, database: Database, after: int) -> AsyncGenerator[bytes, None]:
        """Frames in blocks from number `after` + 1 on, until the run is over. A slow reader holds nobody."""
        after = min(max(after, 0), self.last)
        while True:
            if after + 1 < self._first:
                after, block = await self._stored(database, after)
                yield block
            elif after < self.last:
                after, block = self._recent(after)
                yield block
            elif self.has_ended:
                return
            else:
                await self._news.wait()

    def _recent(self, after: int) -> tuple[int, bytes]:
        """The next block of what is in memory."""
        start = end = after + 1 - self._first
        size = 0
        while end < len(self._frames) and size < BLOCK:
            size += len(self._frames[end])
            end += 1
        return self._first + end - 1, b"".join(self._frames[start:end])

    async def _stored(self, database: Database, after: int) -> tuple[int, bytes]:
        async with database.read() as db:
            rows = await store.frames(db, self.id, after, ROWS_AT_ONCE)
        if not rows or rows[0]["first"] > after + 1:
            raise LookupError(f"The frames after {after} of the run {self.id} are gone")
        return rows[-1]["last"], following(b"".join(row["frames"] for row in rows), after)

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


def following(block: bytes, after: int) -> bytes:
    """The frames of a block whose numbers are above `after`."""
    at = 0
    while at < len(block) and chunks.number_of(block[at : at + 200]) <= after:
        at = block.index(b"\n\n", at) + 2
    return block[at:]

"""Server-sent events, as a reader sees them. Pure. https://html.spec.whatwg.org/multipage/server-sent-events.html"""

from typing import NamedTuple

import attrs

from archestra_gateway.protocol.lines import Lines, LongLineError

LONGEST_ID = 1024


class Event(NamedTuple):
    data: bytes
    kind: bytes = b"message"


@attrs.define
class Place:
    """How far a stream was read, for whoever opens it again; `retry` are the seconds that it asks for."""

    last_id: str | None = None
    retry: float | None = None

    def read_id(self, value: bytes) -> None:
        """Only what can stand in a header."""
        text = value.decode(errors="replace")
        if len(text) <= LONGEST_ID and text.isprintable():
            self.last_id = text or None

    def read_retry(self, value: bytes) -> None:
        if value.isdigit() and len(value) < 12:
            self.retry = int(value) / 1000


@attrs.define
class Events:
    """Bytes in, whole events out; `limit` is the longest event, `place` is kept up to date."""

    limit: int
    place: Place = attrs.field(factory=Place)
    _lines: Lines = attrs.field(init=False)
    _data: list[bytes] = attrs.field(factory=list)
    _kind: bytes = b""
    _id: bytes | None = None

    def __attrs_post_init__(self) -> None:
        self._lines = Lines(self.limit)

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that `chunk` completes. Raises LongLineError when one is too long."""
        return [event.data for event in self.read(chunk)]

    def read(self, chunk: bytes) -> list[Event]:
        """Raises LongLineError when an event is too long."""
        lines = self._lines.feed(chunk)
        events = [event for line in lines if (event := self._line(line.rstrip(b"\r"))) is not None]
        if sum(map(len, self._data)) > self.limit:
            raise LongLineError("the event is too long")
        return events

    def _line(self, line: bytes) -> Event | None:
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        elif not line:
            return self._end()
        else:
            self._read_field(*line.split(b":", 1))
        return None

    def _read_field(self, name: bytes, value: bytes = b"") -> None:
        value = value.removeprefix(b" ")
        if name == b"event":
            self._kind = value
        elif name == b"id":
            self._id = value
        elif name == b"retry":
            self.place.read_retry(value)

    def _end(self) -> Event | None:
        kind, self._kind = self._kind, b""
        if self._id is not None:
            self.place.read_id(self._id)
            self._id = None
        if not self._data:
            return None
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data.clear()
        return Event(data, kind or b"message")

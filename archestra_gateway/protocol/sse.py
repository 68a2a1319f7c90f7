"""Server-sent events, as a reader sees them. Pure. https://html.spec.whatwg.org/multipage/server-sent-events.html"""

import attrs

from archestra_gateway.protocol.lines import Lines, LongLineError


@attrs.define
class Events:
    """Bytes in, the `data` of whole events out; `limit` is the longest event."""

    limit: int
    _lines: Lines = attrs.field(init=False)
    _data: list[bytes] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self._lines = Lines(self.limit)

    def feed(self, chunk: bytes) -> list[bytes]:
        """Raises LongLineError when an event is."""
        lines = self._lines.feed(chunk)
        events = [data for line in lines if (data := self._line(line.rstrip(b"\r"))) is not None]
        if sum(map(len, self._data)) > self.limit:
            raise LongLineError("the event is too long")
        return events

    def _line(self, line: bytes) -> bytes | None:
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
            return None
        if line or not self._data:
            return None
        data = b"\n".join(self._data)
        self._data.clear()
        return data

"""A stream of bytes cut into lines of any length. Pure."""

import attrs


class LongLineError(ValueError):
    """The line that is coming is longer than the limit."""


@attrs.define
class Lines:
    """Pieces are kept in a list until their line ends, so that a long line costs no copying."""

    limit: int
    _pieces: list[bytes] = attrs.field(factory=list)
    _length: int = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their ends. Raises LongLineError."""
        *complete, rest = data.split(b"\n")
        if complete and self._pieces:
            complete[0] = b"".join((*self._pieces, complete[0]))
        if complete:
            self._pieces.clear()
            self._length = 0
        if rest:
            self._pieces.append(rest)
            self._length += len(rest)
        if self._length > self.limit or (complete and len(complete[0]) > self.limit):
            raise LongLineError("the line is too long")
        return complete

    def rest(self) -> bytes:
        """What came after the last line end."""
        return b"".join(self._pieces)

"""A connection's shortcut: a head that came before is not parsed again, and a quick answer needs no task.

The same bytes mean the same. So a request that differs from one that aiohttp parsed and a handler answered in
nothing but its body can begin at once. It ends on the shortcut when its answer comes soon and in one piece;
in any other case it is handed over to aiohttp, as if it had just come, and the handler finds it begun.
"""

import re
from collections.abc import Callable
from typing import Protocol

import attrs
from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11

MOST_HEAD = 16 * 1024
MOST_BODY = 64 * 1024
"""Bytes of a body that come this way; for larger ones parsing a head is nothing."""

_LENGTH = re.compile(rb"\r\ncontent-length: ?([1-9][0-9]{0,4})(?=\r\n)", re.IGNORECASE)
_END = b"\r\n\r\n"


class Begun(Protocol):
    """A request whose answer is awaited."""

    def leave(self) -> None:
        """Somebody else answers it."""

    async def see_through(self) -> None:
        """To its end, though nobody is left to be answered."""


Begin = Callable[[bytes], Begun | None]
"""Takes a body; None: it is not one for the shortcut, and nothing has happened."""


@attrs.frozen
class KnownHead:
    """All but the digits of Content-Length, and how a request under it begins."""

    before: bytes
    after: bytes
    begin: Begin

    def missing(self, data: bytes) -> int | None:
        """How many bytes are not there yet; None when it is no single request under this head."""
        digits_at = len(self.before)
        end = data.find(b"\r", digits_at, digits_at + 6)
        if end < 0 or not data.startswith(self.before) or not data.startswith(self.after, end):
            return None
        digits = data[digits_at:end]
        if not digits.isdigit() or digits.startswith(b"0") or int(digits) > MOST_BODY:
            return None
        missing = int(digits) - (len(data) - end - len(self.after))
        return missing if missing >= 0 else None

    def body(self, data: bytes) -> bytes:
        return data[data.find(b"\r", len(self.before)) + len(self.after) :]


def known_head(head: bytes, length: int, begin: Begin) -> KnownHead | None:
    """`head` ends with its empty line, and says `length` in a way that is easily found again."""
    found = list(_LENGTH.finditer(head))
    if len(found) != 1 or int(found[0][1]) != length:
        return None
    return KnownHead(head[: found[0].start(1)], head[found[0].end(1) :], begin)


class Shortcut:
    """`wanted` is how the handler that answers now would begin the next request that looks the same."""

    __slots__ = ("_begun", "_bytes", "_count", "_known", "_seen", "handed_over", "wanted")

    def __init__(self) -> None:
        self.wanted: Begin | None = None
        self.handed_over: Begun | None = None
        self._known: KnownHead | None = None
        self._begun: Begun | None = None
        self._bytes = b""
        self._seen = b""
        self._count = 0

    def take(self, data: bytes, is_idle: bool) -> bytes:
        """What is left for aiohttp."""
        known = self._known
        if known is None or self._begun is not None or not is_idle:
            return self._long(self.hand_over() + data)
        data, self._bytes = self._bytes + data, b""
        missing = known.missing(data)
        if missing == 0:
            self._begun = known.begin(known.body(data))
        if missing is None or (missing == 0 and self._begun is None):
            return self._long(data)
        self._bytes = data
        return b""

    def done(self) -> None:
        """It was answered."""
        self._begun, self._bytes = None, b""

    def give_up(self) -> bytes:
        """What aiohttp gets now of what is held or was begun here."""
        data = self.hand_over()
        return self._long(data) if data else b""

    def hand_over(self) -> bytes:
        begun, data = self._begun, self._bytes
        self._begun, self._bytes = None, b""
        if begun is not None:
            begun.leave()
            self.handed_over = begun
        return data

    def found(self) -> Begun | None:
        """For the handler: what it shall answer was begun."""
        begun, self.handed_over = self.handed_over, None
        return begun

    def lost(self) -> Begun | None:
        """The client is gone: what is to be seen through without it."""
        self.hand_over()
        return self.found()

    def learn(self, request: web.BaseRequest) -> None:
        """Once its body was read: what came is this request to the byte, or nothing more is learnt here."""
        wanted, self.wanted = self.wanted, None
        length = request.content_length or 0
        head_length = self._seen.find(_END) + len(_END)
        is_exact = self._count == head_length + length and head_length >= len(_END)
        if not is_exact or hdrs.TRANSFER_ENCODING in request.headers:
            self._count = -1
        elif self._count > 0:
            if wanted is not None and _is_plain(request):
                self._known = known_head(self._seen[:head_length], length, wanted)
            self._count = 0
        self._seen = b""

    def _long(self, data: bytes) -> bytes:
        self._known = None
        if self._count >= 0:
            self._count += len(data)
            if len(self._seen) < MOST_HEAD:
                self._seen += data[:MOST_HEAD]
        return data


def _is_plain(request: web.BaseRequest) -> bool:
    return request.version == HttpVersion11 and request.keep_alive and hdrs.EXPECT not in request.headers

"""Lines on stderr: one form for people, one for programs, the request's id on each, known secrets on none."""

import json
import logging
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from functools import lru_cache
from typing import TextIO
from urllib.parse import quote

from archestra_gateway.config import LogConfig

request_id: ContextVar[str] = ContextVar("request_id", default="-")

REDACTED = "[redacted]"
SHORTEST = 6
"""Shorter values stand in too many innocent texts, and protect nothing."""

CREDENTIAL_HEADER = re.compile(
    r"(authorization|cookie|api-?key|subscription-key|token|secret|password|credentials?)$", re.IGNORECASE
)
TEXT = "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s [%(request_id)s] %(message)s"


class Redactor:
    """Every secret value the gateway knows, by owner; takes them out of text wherever they stand."""

    def __init__(self) -> None:
        self._values: dict[str, frozenset[str]] = {}
        self._spellings: tuple[str, ...] = ()
        self.name = lru_cache(maxsize=1024)(self.text)
        """As `text`, for what is short and comes again and again."""

    def replace(self, owner: str, values: Iterable[str]) -> None:
        """These are all the secrets of `owner` from now on."""
        self._set({**self._values, owner: frozenset(value for value in values if len(value) >= SHORTEST)})

    def forget(self, owner: str) -> None:
        self._set({other: values for other, values in self._values.items() if other != owner})

    def text(self, text: str) -> str:
        for spelling in self._spellings:
            text = text.replace(spelling, REDACTED)
        return text

    def cut_text(self, text: str) -> str:
        """For a text whose end was cut off: the first part of a secret at its end goes too."""
        text = self.text(text)
        for spelling in self._spellings:
            for length in range(len(spelling) - 1, SHORTEST - 1, -1):
                if text.endswith(spelling[:length]):
                    return text[:-length] + REDACTED
        return text

    def bytes(self, data: bytes) -> bytes:
        """As `text`, and what is not UTF-8 stays as it is."""
        return self.text(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def _set(self, values: dict[str, frozenset[str]]) -> None:
        self._values = values
        known = {spelling for owned in values.values() for value in owned for spelling in _spell(value)}
        self._spellings = tuple(sorted(known, key=len, reverse=True))  # a secret may contain another
        self.name.cache_clear()


def _spell(value: str) -> Iterator[str]:
    """A secret as it is, and as it looks within JSON and within a URL."""
    yield value
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield quote(value, safe="", errors="replace")


@lru_cache(maxsize=1024)
def is_credential(header: str) -> bool:
    """True for the names of headers whose values nobody may read in a log."""
    return CREDENTIAL_HEADER.search(header) is not None


class JsonLines(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, self.datefmt) + f".{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "request_id": request_id.get(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class Lines(logging.StreamHandler[TextIO]):
    """The one handler: whatever comes, the traceback included, passes the redactor last."""

    def __init__(self, stream: TextIO, redactor: Redactor) -> None:
        super().__init__(stream)
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        record.request_id = request_id.get()
        return self._redactor.text(super().format(record))


def set_up(config: LogConfig, redactor: Redactor, stream: TextIO | None = None) -> None:
    """From here on every logger writes to `stream` (stderr when none is given)."""
    formatter = (JsonLines if config.format == "json" else logging.Formatter)(TEXT, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = Lines(stream or sys.stderr, redactor)
    handler.setFormatter(formatter)
    logging.basicConfig(level=config.level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)

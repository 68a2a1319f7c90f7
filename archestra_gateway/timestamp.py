"""Moments as the database and the API write them: `2026-11-25T01:23:14.123Z`. As text they sort by time."""

from datetime import UTC, datetime
from functools import lru_cache

LAST_SECOND = 253402300799.0
"""9999-12-31T23:59:59Z"""


def now() -> str:
    return _text(datetime.now(UTC))


def from_seconds(seconds: float) -> str:
    """Seconds since 1970; what lies outside the years 1970 to 9999 becomes the nearest end of them."""
    whole, milliseconds = divmod(int(min(max(seconds, 0.0), LAST_SECOND) * 1000), 1000)
    return f"{_whole_seconds(whole)}.{milliseconds:03}Z"


@lru_cache(maxsize=4)
def _whole_seconds(seconds: int) -> str:
    """Kept, because the request log asks thousands of times a second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def normalised(text: str) -> str:
    """Any ISO 8601 moment in our one form; without an offset it is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    try:
        return _text(moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))
    except OverflowError as error:
        raise ValueError(f"{text} lies outside the years 1 to 9999") from error


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""When a server that keeps dying may be started again, and one that is away is asked again. Pure."""

import random
from email.utils import parsedate_to_datetime

import attrs

PATIENCE = 5
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
CRASH_LOOP_PAUSE = 60.0
LONGEST_ASKED = 300.0
"""Seconds that a server may ask for before it is asked again."""


@attrs.define
class Backoff:
    """The first death costs nothing, the next ones more and more; `PATIENCE` of them are a crash loop."""

    deaths: int = 0
    _not_before: float = 0.0

    def died(self, now: float) -> None:
        self.deaths += 1
        self._not_before = now + self._pause()

    def succeeded(self) -> None:
        self.deaths = 0
        self._not_before = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next start."""
        return max(0.0, self._not_before - now)

    def is_crash_loop(self, now: float) -> bool:
        return self.deaths >= PATIENCE and self.wait(now) > 0

    def _pause(self) -> float:
        if self.deaths >= PATIENCE:
            return CRASH_LOOP_PAUSE
        return 0.0 if self.deaths < 2 else min(FIRST_PAUSE * 2 ** (self.deaths - 2), LONGEST_PAUSE)


@attrs.define
class Pauses:
    """Between tries to reach a remote server: longer and longer, and not all at one time."""

    tries: int = 0

    def next(self, least: float | None = None) -> float:
        """Seconds; at least those that the server asks for, within reason."""
        longest = min(FIRST_PAUSE * 2 ** min(self.tries, 30), LONGEST_PAUSE)
        self.tries += 1
        return max(random.uniform(longest / 2, longest), min(least or 0.0, LONGEST_ASKED))  # noqa: S311

    def reset(self) -> None:
        self.tries = 0

    def be_patient(self) -> None:
        """It will not work before somebody has done something."""
        self.tries = 30


def retry_after(said: str | None, now: float) -> float | None:
    """Seconds from `now`, within reason, that a `Retry-After` asks for in either form (RFC 9110 §10.2.3)."""
    if said is None:
        return None
    said = said.strip()
    if said.isascii() and said.isdigit():
        return min(float(said), LONGEST_ASKED)
    try:
        return min(max(0.0, parsedate_to_datetime(said).timestamp() - now), LONGEST_ASKED)
    except (ValueError, OverflowError):
        return None

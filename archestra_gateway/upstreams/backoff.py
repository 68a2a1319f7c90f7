"""When a server that keeps dying may be started again. Pure."""

import attrs

PATIENCE = 5
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
CRASH_LOOP_PAUSE = 60.0


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

"""A model that makes the same call for ever. Pure."""

from typing import Any

import attrs
import msgspec

MOST = 3
"""The same call with the same result so often is answered with a word to the model, and not made again."""
PATIENCE = 2
"""Such words that a model may ignore before the run ends."""


@attrs.define
class Repeats:
    """Counts, per call, how often in a row it gave the same result: what changes is polling, not a loop."""

    warnings: int = 0
    _seen: dict[bytes, tuple[str, int]] = attrs.field(factory=dict)

    def is_due(self, name: str, value: Any) -> bool:
        """Whether the call would only be made once more for nothing."""
        _, count = self._seen.get(_key(name, value), ("", 0))
        if count >= MOST:
            self.warnings += 1
            return True
        return False

    def saw(self, name: str, value: Any, result: str) -> None:
        key = _key(name, value)
        last, count = self._seen.get(key, ("", 0))
        self._seen[key] = (result, count + 1 if result == last else 1)

    @property
    def is_hopeless(self) -> bool:
        return self.warnings > PATIENCE


def told(name: str) -> str:
    return (
        f"{name} was called {MOST} times with this input and gave the same result each time. It is not "
        "called again: answer with what you have, or do something else."
    )


def _key(name: str, value: Any) -> bytes:
    return name.encode() + b"\0" + msgspec.json.encode(value, order="sorted")

"""What a client asked of its session with /mcp, which outlives the conversations with servers. Pure."""

from collections.abc import Mapping
from typing import Any

import attrs

MOST_WATCHED = 1000


@attrs.define
class Wishes:
    """URIs that are subscribed to: `watched` at the server of that name, `own` are the gateway's own ones,
    each with the name under which it is read."""

    level: str | None = None
    watched: dict[str, str] = attrs.field(factory=dict)
    own: dict[str, str] = attrs.field(factory=dict)
    is_kept: bool = True
    """Whether the database has them all."""

    @classmethod
    def restored(cls, kept: Mapping[str, Any]) -> "Wishes":
        return cls(kept.get("level"), dict(kept.get("watched", {})), dict(kept.get("own", {})))

    def to_keep(self) -> dict[str, Any]:
        return {"level": self.level, "watched": self.watched, "own": self.own}

    @property
    def is_full(self) -> bool:
        return len(self.watched) + len(self.own) >= MOST_WATCHED

    def set_level(self, level: str) -> None:
        self.level, self.is_kept = level, False

    def watch(self, uri: str, server: str) -> None:
        self.watched[uri], self.is_kept = server, False

    def watch_own(self, uri: str, reader: str) -> None:
        self.own[uri], self.is_kept = reader, False

    def forget(self, uri: str) -> str | None:
        """The server that was watched for it."""
        self.is_kept = False
        self.own.pop(uri, None)
        return self.watched.pop(uri, None)

    def at(self, server: str) -> list[str]:
        """What is watched there."""
        return [uri for uri, name in self.watched.items() if name == server]

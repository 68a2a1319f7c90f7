"""How the gateway is doing: whether it can work, and what its parts count."""

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs

from archestra_gateway import __version__, timestamp
from archestra_gateway.config import Config
from archestra_gateway.store import status as store
from archestra_gateway.store.database import Database

Section = Callable[[], Mapping[str, Any] | Awaitable[Mapping[str, Any]]]


@attrs.frozen
class StatusReport:
    """Every part of the gateway that has something to tell adds a section under its name."""

    config: Config
    database: Database
    sections: dict[str, Section] = attrs.field(factory=dict)
    _started_at: str = attrs.field(factory=timestamp.now, init=False)
    _started: float = attrs.field(factory=time.monotonic, init=False)

    async def check(self) -> None:
        """Raises what keeps the database from answering."""
        await self._schema_version()

    async def report(self, addresses: list[str]) -> dict[str, Any]:
        return {
            "version": __version__,
            "pid": os.getpid(),
            "started_at": self._started_at,
            "uptime_seconds": round(time.monotonic() - self._started, 3),
            "base_url": self.config.server.url,
            "addresses": addresses,
            "data_dir": str(self.config.server.data_dir),
            "database": {"schema_version": await self._schema_version(), "size": self._size()},
            "sections": {name: await _told(section) for name, section in self.sections.items()},
        }

    async def _schema_version(self) -> int:
        async with self.database.read() as db:
            return await store.schema_version(db)

    def _size(self) -> int:
        path = self.database.path
        files = (path, path.with_name(path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())


async def _told(section: Section) -> dict[str, Any]:
    told = section()
    return dict(await told if isinstance(told, Awaitable) else told)

"""How the gateway itself is doing, as clients get it."""

from typing import Any, Literal

import attrs


@attrs.frozen(kw_only=True)
class Health:
    status: Literal["ok", "stopping"]


@attrs.frozen(kw_only=True)
class DatabaseStatus:
    """`size` is in bytes, the write-ahead log included."""

    schema_version: int
    size: int


@attrs.frozen(kw_only=True)
class Status:
    """`sections` holds what each running part counts, under its name."""

    version: str
    pid: int
    started_at: str
    uptime_seconds: float
    base_url: str
    addresses: list[str]
    data_dir: str
    database: DatabaseStatus
    sections: dict[str, dict[str, Any]]

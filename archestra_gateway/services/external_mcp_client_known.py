"""Every external MCP client that was ever named: in memory, in the database, its secrets in the vault."""

import json
import logging
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import aiosqlite
import attrs

from archestra_gateway import timestamp
from archestra_gateway.client_configs.edit import Edit
from archestra_gateway.client_configs.introduction import called
from archestra_gateway.client_configs.plan import Record
from archestra_gateway.errors import NotFound
from archestra_gateway.log import Redactor
from archestra_gateway.schemas.external_mcp_client import ClientConfig
from archestra_gateway.services.mcp_view import EVERYTHING, Visibility
from archestra_gateway.services.vault import Unreadable, Vault
from archestra_gateway.store import external_mcp_client as store
from archestra_gateway.store.database import Database

log = logging.getLogger(__name__)

SECRETS = "token and entries"


def owner(name: str) -> str:
    return f"external_mcp_client:{name}"


@attrs.frozen
class Known:
    """`record` is what was written; None as long as it was never connected, and after it was disconnected."""

    name: str
    config: ClientConfig
    token: str = attrs.field(repr=False)
    record: Record | None
    connected_at: str | None
    created_at: str
    updated_at: str

    @classmethod
    def new(cls, name: str, config: ClientConfig) -> "Known":
        now = timestamp.now()
        return cls(name, config, secrets.token_urlsafe(32), None, None, now, now)

    @property
    def is_connected(self) -> bool:
        return self.record is not None

    def disconnected(self) -> "Known":
        return attrs.evolve(self, record=None, connected_at=None)


@attrs.frozen
class KnownClients:
    """Made by `load`."""

    _database: Database
    _vault: Vault
    _redactor: Redactor
    _known: dict[str, Known] = attrs.field(factory=dict)

    @classmethod
    async def load(cls, database: Database, vault: Vault, redactor: Redactor) -> "KnownClients":
        clients = cls(database, vault, redactor)
        async with database.read() as db:
            for row in await store.list_all(db):
                clients._remember(await clients._opened(db, row))
        return clients

    def names(self) -> list[str]:
        return sorted(self._known)

    def find(self, name: str) -> Known | None:
        return self._known.get(name)

    def get(self, name: str) -> Known:
        """Raises NotFound."""
        known = self._known.get(name)
        if known is None:
            raise NotFound(f"There is no external MCP client {name}: connect it first", name=name)
        return known

    def is_connected(self, name: str) -> bool:
        return name in self._known and self._known[name].is_connected

    def is_token(self, bearer: str) -> bool:
        """Whether a connected client has this token."""
        return bearer in {known.token for known in self._known.values() if known.is_connected}

    def name_of(self, bearer: str | None, name: str | None) -> str | None:
        """The client that has this token, or whose header X-Client-Name this is (percent-encoded)."""
        if bearer is not None:
            for known in self._known.values():
                if known.token == bearer:
                    return known.name
        spelled = unquote(name) if name else ""
        return spelled if spelled in self._known else None

    def introduced(self, said: str | None) -> str | None:
        """The client that calls itself so in its messages, where only one does."""
        return called(said, tuple(self._known)) if said else None

    def visibility(self, name: str | None) -> Visibility:
        """What the client of that name may see; without one, everything."""
        if name is None:
            return EVERYTHING
        config = self._known[name].config
        return Visibility(
            name,
            None if config.servers is None else frozenset(config.servers),
            None if config.tools is None else frozenset(config.tools),
        )

    async def insert(self, known: Known) -> Known:
        async with self._database.transaction() as db:
            await store.insert(db, _row(known))
            await self._seal(db, known)
        return self._remember(known)

    async def save(self, known: Known) -> Known:
        known = attrs.evolve(known, updated_at=timestamp.now())
        async with self._database.transaction() as db:
            await store.update(db, _row(known))
            await self._seal(db, known)
        return self._remember(known)

    async def delete(self, name: str) -> None:
        async with self._database.transaction() as db:
            await store.delete(db, name)
            await self._vault.forget(db, owner(name))
        self._known.pop(name, None)
        self._redactor.forget(owner(name))

    def _remember(self, known: Known) -> Known:
        self._known[known.name] = known
        self._redactor.replace(owner(known.name), [known.token])
        return known

    async def _seal(self, db: aiosqlite.Connection, known: Known) -> None:
        text = sealable(known.token, None if known.record is None else attrs.asdict(known.record))
        await self._vault.put(db, owner(known.name), SECRETS, text)

    async def _opened(self, db: aiosqlite.Connection, row: store.Row) -> Known:
        """One whose secrets can not be read is not connected, whatever stands in its file."""
        known = Known.new(row["name"], ClientConfig(**row["config"]))
        known = attrs.evolve(known, created_at=row["created_at"], updated_at=row["updated_at"])
        try:
            text = await self._vault.get(db, owner(row["name"]), SECRETS)
        except Unreadable as error:
            log.warning("%s Connect %s again", error.message, row["name"])
            return known
        if text is None:
            return known
        held = json.loads(text)
        return attrs.evolve(
            known, token=held["token"], record=_record(held["written"]), connected_at=row["connected_at"]
        )


def sealable(token: str, written: Mapping[str, Any] | None) -> str:
    return json.dumps({"token": token, "written": written})


def _row(known: Known) -> store.Row:
    return store.Row(
        name=known.name,
        config=attrs.asdict(known.config),
        connected_at=known.connected_at,
        created_at=known.created_at,
        updated_at=known.updated_at,
    )


def _record(written: Mapping[str, Any] | None) -> Record | None:
    if written is None:
        return None
    edit = written["edit"]
    return Record(
        entries=written["entries"],
        edit=Edit(**edit) if edit else None,
        made=written["made"],
        made_file=written["made_file"],
        folders=tuple(written["folders"]),
    )

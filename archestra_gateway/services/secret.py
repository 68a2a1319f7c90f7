"""Named secrets: a person stores one once, and servers' configurations name it as `${secret:NAME}`."""

import re

import aiosqlite
import attrs

from archestra_gateway.errors import Conflict, NotFound, UpstreamUnavailable
from archestra_gateway.log import Redactor
from archestra_gateway.schemas.mcp_server import HttpConfig, ServerConfig
from archestra_gateway.schemas.secret import CreateSecret, Secret, UpdateSecret
from archestra_gateway.services.vault import Unreadable, Vault
from archestra_gateway.store import secret as store
from archestra_gateway.store.database import Database

OWNER = "secret"
REFERENCE = re.compile(r"\$\{secret:([A-Za-z0-9_.-]{1,64})\}")


@attrs.frozen
class Secrets:
    """Made by `load`. A value is opened where it is used, and nowhere else."""

    _database: Database
    _vault: Vault
    _redactor: Redactor

    @classmethod
    async def load(cls, database: Database, vault: Vault, redactor: Redactor) -> "Secrets":
        secrets = cls(database, vault, redactor)
        async with database.read() as db:
            for row in await store.list_of_owner(db, OWNER):
                secrets._hide(row["name"], [secrets._readable(row)])
        return secrets

    async def list_all(self) -> list[Secret]:
        async with self._database.read() as db:
            return [_shown(row) for row in await store.list_of_owner(db, OWNER)]

    async def get(self, name: str) -> Secret:
        """Raises NotFound."""
        async with self._database.read() as db:
            return await _existing(db, name)

    async def create(self, wanted: CreateSecret) -> Secret:
        """Raises Conflict when the name is taken."""
        async with self._database.transaction() as db:
            if await store.get(db, OWNER, wanted.name) is not None:
                raise Conflict(f"There is a secret named {wanted.name} already", name=wanted.name)
            return await self._put(db, wanted.name, wanted.value)

    async def update(self, name: str, wanted: UpdateSecret) -> Secret:
        async with self._database.transaction() as db:
            await _existing(db, name)
            return await self._put(db, name, wanted.value)

    async def delete(self, name: str) -> None:
        async with self._database.transaction() as db:
            if not await store.delete(db, OWNER, name):
                raise _not_found(name)
        self._redactor.forget(_redacted(name))

    async def resolve(self, config: ServerConfig) -> ServerConfig:
        """The configuration with values in place of references. Raises UpstreamUnavailable or Unreadable."""
        if isinstance(config, HttpConfig):
            return attrs.evolve(config, headers=await self._resolve(config.headers))
        return attrs.evolve(config, env=await self._resolve(config.env))

    async def _resolve(self, texts: dict[str, str]) -> dict[str, str]:
        names = {name for text in texts.values() for name in references(text)}
        if not names:
            return texts
        async with self._database.read() as db:
            values = {name: await self._value(db, name) for name in names}
        return {key: REFERENCE.sub(lambda match: values[match[1]], text) for key, text in texts.items()}

    async def _value(self, db: aiosqlite.Connection, name: str) -> str:
        value = await self._vault.get(db, OWNER, name)
        if value is None:
            raise UpstreamUnavailable(
                f"The configuration names the secret {name}, which is not stored: POST /api/secret stores it",
                secret=name,
            )
        return value

    async def _put(self, db: aiosqlite.Connection, name: str, value: str) -> Secret:
        self._hide(name, [value])
        await self._vault.put(db, OWNER, name, value)
        return await _existing(db, name)

    def _readable(self, row: store.Row) -> str:
        try:
            return self._vault.opened(row)
        except Unreadable:  # whoever uses it hears of it
            return ""

    def _hide(self, name: str, values: list[str]) -> None:
        self._redactor.replace(_redacted(name), values)


def references(text: str) -> list[str]:
    """The names of the secrets that a text refers to."""
    return REFERENCE.findall(text)


async def _existing(db: aiosqlite.Connection, name: str) -> Secret:
    row = await store.get(db, OWNER, name)
    if row is None:
        raise _not_found(name)
    return _shown(row)


def _shown(row: store.Row) -> Secret:
    return Secret(
        name=row["name"],
        reference=f"${{secret:{row['name']}}}",
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _redacted(name: str) -> str:
    return f"secret:{name}"


def _not_found(name: str) -> NotFound:
    return NotFound("Secret not found", name=name)

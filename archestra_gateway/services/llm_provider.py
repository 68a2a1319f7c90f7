"""LLM providers: the built-in one from the configuration, the others from the database; all in memory."""

from __future__ import annotations

import logging
from typing import cast

import aiosqlite
import attrs

from archestra_gateway import timestamp
from archestra_gateway.errors import Conflict, NotFound, ValidationFailed
from archestra_gateway.log import Redactor
from archestra_gateway.providers.kind import Kind
from archestra_gateway.providers.table import KINDS
from archestra_gateway.schemas.llm_provider import (
    CreateLlmProvider,
    KindName,
    LlmProvider,
    UpdateLlmProvider,
    sends_in_clear,
)
from archestra_gateway.services.llm_provider_key import KEY, owner
from archestra_gateway.services.vault import Unreadable, Vault
from archestra_gateway.store import llm_provider as store
from archestra_gateway.store.database import Database
from archestra_gateway.upstreams.origin import Origin, split_url

log = logging.getLogger(__name__)

OLLAMA = "ollama"
EMBEDDED = "embedded"


@attrs.frozen
class Provider:
    """One provider, ready to be called."""

    name: str
    kind: Kind
    base_url: str
    origin: Origin
    base_path: str
    api_key: str | None = attrs.field(repr=False)
    created_at: str | None = None
    updated_at: str | None = None

    @property
    def is_builtin(self) -> bool:
        return self.created_at is None

    def shown(self) -> LlmProvider:
        return LlmProvider(
            name=self.name,
            kind=cast(KindName, self.kind.name),
            base_url=self.base_url,
            has_key=self.api_key is not None,
            is_builtin=self.is_builtin,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )


@attrs.frozen
class LlmProviders:
    """Made by `load`. Reading never waits: the relay asks for every request."""

    _database: Database
    _vault: Vault
    _redactor: Redactor
    _known: dict[str, Provider]

    @classmethod
    async def load(
        cls,
        database: Database,
        vault: Vault,
        redactor: Redactor,
        ollama_url: str,
        embedded: Kind | None = None,
    ) -> LlmProviders:
        """A provider whose key can not be opened has none until somebody sets it again."""
        loaded = cls(database, vault, redactor, {OLLAMA: _provider(OLLAMA, KINDS[OLLAMA], ollama_url, None)})
        if embedded is not None:
            loaded._known[EMBEDDED] = _provider(EMBEDDED, embedded, embedded.default_url, None)
        async with database.read() as db:
            for row in await store.list_all(db):
                try:
                    key = await vault.get(db, owner(row["name"]), KEY)
                except Unreadable as error:
                    log.warning("%s", error.message)
                    key = None
                loaded._remember(row, key)
        return loaded

    def list_all(self) -> list[LlmProvider]:
        return [self._known[name].shown() for name in sorted(self._known)]

    def get(self, name: str) -> Provider:
        """Raises NotFound."""
        provider = self._known.get(name)
        if provider is None:
            raise NotFound("LLM provider not found", name=name, known=sorted(self._known))
        return provider

    async def create(self, wanted: CreateLlmProvider) -> LlmProvider:
        """Raises Conflict when the name is taken."""
        now = timestamp.now()
        row = store.Row(
            name=wanted.name,
            kind=wanted.kind,
            base_url=(wanted.base_url or KINDS[wanted.kind].default_url).rstrip("/"),
            created_at=now,
            updated_at=now,
        )
        key = wanted.api_key or None
        _refuse_key_in_clear(row, key)
        async with self._database.transaction() as db:
            if wanted.name in (OLLAMA, EMBEDDED) or not await store.insert(db, row):
                raise Conflict(f"There is an LLM provider named {wanted.name} already", name=wanted.name)
            await self._keep(db, row, key)
        return self._remember(row, key)

    async def update(self, name: str, wanted: UpdateLlmProvider) -> LlmProvider:
        async with self._database.transaction() as db:
            row = await store.get(db, self._configurable(name))
            if row is None:
                raise NotFound("LLM provider not found", name=name)
            if wanted.base_url is not None:
                row["base_url"] = wanted.base_url.rstrip("/")
            key = self.get(name).api_key if wanted.api_key is None else wanted.api_key or None
            row["updated_at"] = timestamp.now()
            _refuse_key_in_clear(row, key)
            await store.update(db, row)
            if wanted.api_key is not None:
                await self._keep(db, row, key)
        return self._remember(row, key)

    async def delete(self, name: str) -> None:
        async with self._database.transaction() as db:
            if not await store.delete(db, self._configurable(name)):
                raise NotFound("LLM provider not found", name=name)
            await self._vault.forget(db, owner(name))
        self._known.pop(name, None)
        self._redactor.forget(owner(name))

    def _configurable(self, name: str) -> str:
        if name in (OLLAMA, EMBEDDED):
            raise Conflict(
                f"The provider {name} is built in; it is configured by the settings llm.{name}", name=name
            )
        return name

    async def _keep(self, db: aiosqlite.Connection, row: store.Row, key: str | None) -> None:
        if key is None:
            await self._vault.delete(db, owner(row["name"]), KEY)
        else:
            await self._vault.put(db, owner(row["name"]), KEY, key)

    def _remember(self, row: store.Row, key: str | None) -> LlmProvider:
        provider = _provider(
            row["name"],
            KINDS[row["kind"]],
            row["base_url"],
            key,
            row["created_at"],
            row["updated_at"],
        )
        self._known[provider.name] = provider
        self._redactor.replace(owner(provider.name), [provider.api_key] if provider.api_key else [])
        return provider.shown()


def _provider(
    name: str,
    kind: Kind,
    base_url: str,
    api_key: str | None,
    created_at: str | None = None,
    updated_at: str | None = None,
) -> Provider:
    origin, path = split_url(base_url)
    return Provider(name, kind, base_url, origin, path.rstrip("/"), api_key, created_at, updated_at)


def _refuse_key_in_clear(row: store.Row, key: str | None) -> None:
    """A key never crosses a network unencrypted; a keyless provider in the house may be plain http."""
    if key is not None and sends_in_clear(row["base_url"]):
        raise ValidationFailed(
            "The key would be sent unencrypted",
            fields=["`base_url` must be https where an `api_key` is stored, unless it is on this machine"],
        )

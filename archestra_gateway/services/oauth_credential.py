"""What a login leaves behind, and how the vault keeps it."""

import json
from typing import Any

import attrs

from archestra_gateway.log import Redactor
from archestra_gateway.oauth.client import Client
from archestra_gateway.oauth.grant import Tokens
from archestra_gateway.services.mcp_server_values import owner
from archestra_gateway.services.vault import Vault
from archestra_gateway.store import mcp_server
from archestra_gateway.store.database import Database

CREDENTIAL = "oauth"
CLIENT = "oauth_client"


@attrs.frozen
class Credential:
    """Good for one server at one URL, from one issuer. `asked` is the scope that was asked for."""

    server_url: str
    resource: str
    issuer: str
    token_endpoint: str
    revocation_endpoint: str | None
    asked: str | None
    client: Client
    tokens: Tokens

    def encoded(self) -> str:
        return json.dumps(attrs.asdict(self))

    @classmethod
    def decoded(cls, text: str) -> "Credential":
        data: dict[str, Any] = json.loads(text)
        return cls(**{**data, "client": Client(**data["client"]), "tokens": Tokens(**data["tokens"])})

    def secrets(self) -> list[str]:
        values = (self.tokens.access_token, self.tokens.refresh_token, self.client.client_secret)
        return [value for value in values if value]


@attrs.frozen
class Credentials:
    """Of all servers, in the vault."""

    _database: Database
    _vault: Vault
    _redactor: Redactor

    async def load(self, name: str) -> tuple[Credential | None, Client | None]:
        """The login and the client of one server. Raises Unreadable."""
        async with self._database.read() as db:
            login = await self._vault.get(db, owner(name), CREDENTIAL)
            client = await self._vault.get(db, owner(name), CLIENT)
        credential = Credential.decoded(login) if login else None
        self.hide(name, credential)
        return credential, Client(**json.loads(client)) if client else None

    async def save(self, name: str, credential: Credential, previous: Credential | None = None) -> bool:
        """False when there is no such server any more: then nothing is kept."""
        self.hide(name, credential, previous)
        return await self._put(name, CREDENTIAL, credential.encoded())

    async def save_client(self, name: str, client: Client) -> bool:
        return await self._put(name, CLIENT, json.dumps(attrs.asdict(client)))

    async def drop(self, name: str, *kinds: str) -> None:
        async with self._database.transaction() as db:
            for kind in kinds:
                await self._vault.delete(db, owner(name), kind)

    def hide(self, name: str, *credentials: Credential | None) -> None:
        """No log shows their tokens; those of the previous login may still stand in rows that wait."""
        values = {value for credential in credentials if credential for value in credential.secrets()}
        self._redactor.replace(f"oauth:{name}", values)

    async def _put(self, name: str, kind: str, value: str) -> bool:
        async with self._database.transaction() as db:
            if not await mcp_server.exists(db, name):
                return False
            await self._vault.put(db, owner(name), kind, value)
            return True

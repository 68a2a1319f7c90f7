"""The vault: every secret value that the gateway keeps, sealed in the database (AES-256-GCM)."""

import asyncio
import secrets
from pathlib import Path

import aiosqlite
import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from archestra_gateway import timestamp
from archestra_gateway.errors import Conflict
from archestra_gateway.services.vault_key import ID_LENGTH, KeyRefused, Keys, Place, choose, load_keys
from archestra_gateway.store import secret as store
from archestra_gateway.store.database import Database

FORMAT = b"\x01"
NONCE_LENGTH = 12
KEYRING_PATIENCE = 60.0
"""A keyring may ask a person for a password."""


class Unreadable(Conflict):
    """A sealed value that no key opens: another key, or a row that was changed or moved."""


@attrs.define(eq=False)
class Vault:
    """Opened by `open_vault`. A value belongs to an owner ("mcp_server:files") and has a name there."""

    _keys: Keys
    _place: Place

    @property
    def place(self) -> str:
        """Where its key lies: `keyring` or `file`."""
        return self._place.name

    async def put(self, db: aiosqlite.Connection, owner: str, name: str, value: str) -> None:
        await store.put(db, owner, name, self._seal(owner, name, value), timestamp.now())

    async def get(self, db: aiosqlite.Connection, owner: str, name: str) -> str | None:
        """None when there is none. Raises Unreadable."""
        row = await store.get(db, owner, name)
        return None if row is None else self.opened(row)

    async def delete(self, db: aiosqlite.Connection, owner: str, name: str) -> None:
        await store.delete(db, owner, name)

    async def forget(self, db: aiosqlite.Connection, owner: str) -> None:
        """Everything of that owner."""
        await store.delete_of_owner(db, owner)

    def opened(self, row: store.Row) -> str:
        """Raises Unreadable."""
        sealed, owner, name = row["sealed"], row["owner"], row["name"]
        head = len(FORMAT) + ID_LENGTH
        key = self._keys.by_id.get(sealed[len(FORMAT) : head])
        try:
            if key is None or not sealed.startswith(FORMAT):
                raise InvalidTag
            nonce, text = sealed[head : head + NONCE_LENGTH], sealed[head + NONCE_LENGTH :]
            return AESGCM(key).decrypt(nonce, text, _place_of(owner, name)).decode()
        except (InvalidTag, ValueError) as error:
            raise Unreadable(
                f"The stored secret `{name}` of {owner} can not be opened: the key is another one, or the "
                "row was changed. Set it again.",
                owner=owner,
                name=name,
            ) from error

    async def rotate(self, database: Database, data_dir: Path, wanted: str) -> int:
        """Seals everything again with a new key; says how many values. A kill at any moment loses nothing:
        the old key is dropped only when nothing needs it any more."""
        place = choose(data_dir, wanted) if wanted != "auto" else self._place
        keys = self._keys.with_new()
        await asyncio.to_thread(place.write, keys)
        self._keys, self._place = keys, place
        async with database.transaction() as db:
            rows = await store.list_all(db)
            count = sum([await self._reseal(db, row) for row in rows])
        if count == len(rows):
            await asyncio.to_thread(place.write, keys.only_current())
            self._keys = keys.only_current()
        return count

    async def _reseal(self, db: aiosqlite.Connection, row: store.Row) -> bool:
        owner, name = row["owner"], row["name"]
        try:
            value = self.opened(row)
        except Unreadable:
            return False
        await store.reseal(db, owner, name, self._seal(owner, name, value))
        return True

    def _seal(self, owner: str, name: str, value: str) -> bytes:
        current = self._keys.current
        nonce = secrets.token_bytes(NONCE_LENGTH)
        text = AESGCM(self._keys.by_id[current]).encrypt(nonce, value.encode(), _place_of(owner, name))
        return FORMAT + current + nonce + text


async def open_vault(data_dir: Path, wanted: str) -> Vault:
    """`wanted` is the setting security.secrets_key. Raises KeyRefused."""
    try:
        async with asyncio.timeout(KEYRING_PATIENCE):
            return Vault(*await asyncio.to_thread(load_keys, data_dir, wanted))
    except TimeoutError as error:
        raise KeyRefused("The system's keyring does not answer; unlock it and start again") from error


def _place_of(owner: str, name: str) -> bytes:
    """What a sealed value is bound to, so that rows can not be swapped."""
    return f"v1|{owner}|{name}".encode()

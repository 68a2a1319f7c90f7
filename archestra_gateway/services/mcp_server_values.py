"""The values of a server's environment and headers on their way into the vault and out of it."""

import json
from typing import Any

import aiosqlite

from archestra_gateway.services.vault import Vault
from archestra_gateway.store import mcp_server as store

NAME = "values"
TABLES = ("env", "headers", "oauth")
"""The members of a configuration whose values may be secret; in the row itself, only their names stand."""

Config = dict[str, Any]


def owner(name: str) -> str:
    """Everything secret of that server, its tokens included, belongs to it in the vault."""
    return f"mcp_server:{name}"


def without_values(row: store.Row) -> store.Row:
    config = row["server_config"]
    named = {table: dict.fromkeys(values) for table, values in _tables(config).items()}
    return {**row, "server_config": {**config, **named}}


async def keep(db: aiosqlite.Connection, vault: Vault, row: store.Row) -> None:
    """Puts the row's values into the vault."""
    values = _tables(row["server_config"])
    if any(values.values()):
        await vault.put(db, owner(row["name"]), NAME, json.dumps(values))
    else:
        await vault.delete(db, owner(row["name"]), NAME)


async def restored(db: aiosqlite.Connection, vault: Vault, row: store.Row) -> store.Row:
    """The row with its values. Raises Unreadable."""
    kept = await vault.get(db, owner(row["name"]), NAME)
    values: dict[str, Config] = json.loads(kept) if kept else {}
    return with_values(row, values)


def with_values(row: store.Row, values: dict[str, Config]) -> store.Row:
    """What is not among the values is left out of the configuration."""
    config = row["server_config"]
    whole = {table: values.get(table, {}) for table in _tables(config)}
    return {**row, "server_config": {**config, **whole}}


def has_plain_values(row: store.Row) -> bool:
    """As an earlier version of the gateway stored them."""
    return any(
        value is not None for values in _tables(row["server_config"]).values() for value in values.values()
    )


def _tables(config: Config) -> dict[str, Config]:
    return {table: config[table] for table in TABLES if config.get(table)}

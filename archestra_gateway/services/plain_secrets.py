"""Secrets that an earlier version stored in the clear: sealed at the first start of this one."""

import asyncio
import logging
from pathlib import Path

from archestra_gateway.services import external_mcp_client_known as known_clients
from archestra_gateway.services.llm_provider_key import KEY, owner
from archestra_gateway.services.mcp_server_values import has_plain_values, keep, without_values
from archestra_gateway.services.vault import Vault
from archestra_gateway.store import external_mcp_client, llm_provider, mcp_server
from archestra_gateway.store.database import Database

log = logging.getLogger(__name__)


async def seal_plain_secrets(database: Database, vault: Vault) -> None:
    """All of them or none; the write-ahead log and the copies made before migrations are cleaned too."""
    async with database.transaction() as db:
        keys = await llm_provider.list_plain_keys(db)
        clients = await external_mcp_client.list_plain(db)
        servers = [row for row in await mcp_server.list_all(db) if has_plain_values(row)]
        for name, key in keys.items():
            await vault.put(db, owner(name), KEY, key)
        for row in servers:
            await keep(db, vault, row)
            await mcp_server.update(db, without_values(row))
        for name, token, written in clients:
            text = known_clients.sealable(token, written)
            await vault.put(db, known_clients.owner(name), known_clients.SECRETS, text)
        if clients:
            await external_mcp_client.forget_plain(db)
        if keys:
            await llm_provider.forget_plain_keys(db)
    if keys or servers or clients:
        log.info(
            "Sealed the secrets of %d providers, %d servers and %d clients",
            *(len(keys), len(servers), len(clients)),
        )
        await database.truncate_log()
        await asyncio.to_thread(_delete_copies, database.path)


def _delete_copies(path: Path) -> None:
    for copy in path.parent.glob(f"{path.name}.before-*"):
        log.info("Deleting %s, which holds secrets in the clear", copy)
        copy.unlink()

"""Secrets that an earlier version stored in the clear: sealed at the first start of this one."""

import asyncio
import logging
from pathlib import Path

from archestra_gateway.services.llm_provider_key import KEY, owner
from archestra_gateway.services.mcp_server_values import has_plain_values, keep, without_values
from archestra_gateway.services.vault import Vault
from archestra_gateway.store import llm_provider, mcp_server
from archestra_gateway.store.database import Database

log = logging.getLogger(__name__)


async def seal_plain_secrets(database: Database, vault: Vault) -> None:
    """All of them or none; the write-ahead log and the copies made before migrations are cleaned too."""
    async with database.transaction() as db:
        keys = await llm_provider.list_plain_keys(db)
        servers = [row for row in await mcp_server.list_all(db) if has_plain_values(row)]
        for name, key in keys.items():
            await vault.put(db, owner(name), KEY, key)
        for row in servers:
            await keep(db, vault, row)
            await mcp_server.update(db, without_values(row))
        if keys:
            await llm_provider.forget_plain_keys(db)
    if keys or servers:
        log.info("Sealed the secrets of %d providers and %d servers", len(keys), len(servers))
        await database.truncate_log()
        await asyncio.to_thread(_delete_copies, database.path)


def _delete_copies(path: Path) -> None:
    for copy in path.parent.glob(f"{path.name}.before-*"):
        log.info("Deleting %s, which holds secrets in the clear", copy)
        copy.unlink()

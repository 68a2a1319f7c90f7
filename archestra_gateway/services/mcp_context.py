"""What each MCP client asked the gateway to remember for the next time."""

from typing import Any

import attrs

from archestra_gateway import timestamp
from archestra_gateway.errors import PayloadTooLarge
from archestra_gateway.protocol import jsonrpc
from archestra_gateway.store import mcp_context as store
from archestra_gateway.store.database import Database

LARGEST = 256 * 1024


@attrs.frozen
class Contexts:
    _database: Database

    async def get(self, client: str) -> dict[str, Any]:
        async with self._database.read() as db:
            return await store.get(db, client)

    async def update(self, client: str, changes: dict[str, Any]) -> dict[str, Any]:
        """Sets these members; null removes one (RFC 7396, for the first level)."""
        async with self._database.transaction() as db:
            context = {**await store.get(db, client), **changes}
            context = {name: value for name, value in context.items() if value is not None}
            if len(jsonrpc.encode(context)) > LARGEST:
                raise PayloadTooLarge(f"A context may have {LARGEST} bytes", limit=LARGEST)
            await store.put(db, client, context, timestamp.now())
        return context

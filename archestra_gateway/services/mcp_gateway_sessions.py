"""All sessions with /mcp: how many are awake, which sleep in the database, and which are over."""

import asyncio
import contextlib
import secrets
import time
from datetime import UTC, datetime, timedelta

import attrs
from msgspec import Raw

from archestra_gateway import timestamp
from archestra_gateway.errors import NotFound, UpstreamUnavailable
from archestra_gateway.services.mcp_client_info import opening_info
from archestra_gateway.services.mcp_gateway_session import GatewaySession
from archestra_gateway.services.mcp_gateway_wishes import Wishes
from archestra_gateway.store import mcp_session as store
from archestra_gateway.store.database import Database

LONGEST_ROUND = 60.0
KEPT = timedelta(days=7)
MOST_KEPT = 10_000


@attrs.frozen(eq=False)
class Sessions:
    """`most` may be awake at once; one that was not used for `idle_timeout` seconds sleeps.

    Its conversations have ended, and what its client asked it for is kept; a message wakes it.
    """

    _database: Database
    _most: int
    _idle_timeout: float
    _awake: dict[str, GatewaySession] = attrs.field(factory=dict)

    def awake(self) -> list[GatewaySession]:
        return list(self._awake.values())

    async def begin(self, opening: Raw, version: str) -> GatewaySession:
        """`opening` is what `initialize` was sent with. Raises UpstreamUnavailable when all are busy."""
        session = GatewaySession(secrets.token_hex(16), opening, version, opening_info(opening))
        await self._make_room()
        self._awake[session.id] = session
        row = store.Row(id=session.id, opening=bytes(opening).decode(), version=version, wishes={})
        async with self._database.transaction() as db:
            await store.put(db, row, timestamp.now())
        return session

    async def find(self, identifier: str) -> GatewaySession:
        """Raises NotFound, which tells a client to initialize again."""
        session = self._awake.get(identifier)
        if session is None:
            async with self._database.read() as db:
                row = await store.get(db, identifier)
            if row is None:
                raise NotFound("The MCP session is unknown or over: initialize again", session_id=identifier)
            session = self._awake.get(identifier) or await self._wake(row)
        session.touch()
        return session

    async def keep(self, session: GatewaySession) -> None:
        """What its client asked it for, for when it sleeps."""
        if session.wishes.is_kept:
            return
        session.wishes.is_kept = True
        async with self._database.transaction() as db:
            await store.keep(db, session.id, session.wishes.to_keep())

    async def end(self, identifier: str) -> None:
        """By the client's order. Raises NotFound."""
        session = await self.find(identifier)
        self._awake.pop(identifier, None)
        async with self._database.transaction() as db:
            await store.delete(db, identifier)
        await session.end()

    async def sweep_for_ever(self) -> None:
        while True:
            before = datetime.now(UTC) - KEPT
            async with self._database.transaction() as db:
                await store.delete_old(db, timestamp.from_seconds(before.timestamp()), MOST_KEPT)
            await asyncio.sleep(min(LONGEST_ROUND, self._idle_timeout / 4))
            late = time.monotonic() - self._idle_timeout
            for session in self.awake():
                if not session.is_busy and session.last_used < late:
                    await self._put_to_sleep(session)

    async def close(self) -> None:
        for session in self.awake():
            with contextlib.suppress(Exception):
                await self._put_to_sleep(session)

    async def _wake(self, row: store.Row) -> GatewaySession:
        await self._make_room()
        opening = Raw(row["opening"].encode())
        wishes = Wishes.restored(row["wishes"])
        session = GatewaySession(row["id"], opening, row["version"], opening_info(opening), wishes)
        return self._awake.setdefault(row["id"], session)

    async def _make_room(self) -> None:
        while len(self._awake) >= self._most:
            idle = [session for session in self.awake() if not session.is_busy]
            if not idle:
                raise UpstreamUnavailable(
                    f"All {self._most} MCP sessions are busy: end one, or raise mcp.max_sessions"
                )
            await self._put_to_sleep(min(idle, key=lambda session: session.last_used))

    async def _put_to_sleep(self, session: GatewaySession) -> None:
        if self._awake.pop(session.id, None) is None:
            return
        async with self._database.transaction() as db:
            await store.use(db, session.id, timestamp.now())
        await session.end()

"""The person's other AI programs: connected through their own files, kept in step, disconnected."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import unquote

import attrs

from archestra_gateway import timestamp
from archestra_gateway.client_configs import apply
from archestra_gateway.client_configs.apply import Job
from archestra_gateway.client_configs.backups import Backups
from archestra_gateway.client_configs.machine import Machine
from archestra_gateway.errors import Conflict, GatewayError, NotFound
from archestra_gateway.log import Redactor
from archestra_gateway.schemas.external_mcp_client import (
    ClientConfig,
    CreateExternalMcpClient,
    ExternalMcpClient,
    WrittenEntry,
)
from archestra_gateway.services.external_mcp_client_row import (
    Gateway,
    config_of,
    new_row,
    offered,
    record_of,
    target_of,
    written_of,
)
from archestra_gateway.services.mcp_server import McpServers
from archestra_gateway.store import external_mcp_client as store
from archestra_gateway.store import mcp_request_log
from archestra_gateway.store.database import Database
from archestra_gateway.store.external_mcp_client import Row

log = logging.getLogger(__name__)


@attrs.frozen
class ExternalMcpClients:
    """Made by `load`. One change at a time; what touches files runs in a thread."""

    _database: Database
    _redactor: Redactor
    _servers: McpServers
    _gateway: Gateway
    _backups: Backups
    _machine: Machine
    _find_path: Callable[[], Awaitable[object]]
    _known: dict[str, Row] = attrs.field(factory=dict)
    _lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    _stale: asyncio.Event = attrs.field(factory=asyncio.Event)

    @classmethod
    async def load(
        cls,
        database: Database,
        redactor: Redactor,
        servers: McpServers,
        gateway: Gateway,
        backups: Backups,
        machine: Machine,
        find_path: Callable[[], Awaitable[object]],
    ) -> Self:
        """`find_path` tells the PATH of the person's terminal."""
        clients = cls(database, redactor, servers, gateway, backups, machine, find_path)
        async with database.read() as db:
            for row in await store.list_all(db):
                clients._remember(row)
        return clients

    async def list_all(self) -> list[ExternalMcpClient]:
        return [await self._shown(self._known[name]) for name in sorted(self._known)]

    async def get(self, name: str) -> ExternalMcpClient:
        """Raises NotFound."""
        return await self._shown(self._row(name))

    async def create(self, wanted: CreateExternalMcpClient) -> ExternalMcpClient:
        """Known from now on, not yet connected. Raises Conflict when it is known already."""
        async with self._lock:
            if wanted.name in self._known:
                raise Conflict(f"There is a client named {wanted.name} already", name=wanted.name)
            return await self._shown(await self._insert(wanted.name, wanted.config))

    async def update(self, name: str, config: ClientConfig) -> ExternalMcpClient:
        """A connected client gets the entries that the new configuration asks for."""
        async with self._lock:
            row = self._row(name)
            was_connected = row["written"] is not None
            row = await self._configure(row, config)
            return await self._shown(await self._connect(row) if was_connected else row)

    async def delete(self, name: str) -> None:
        """Disconnects it first."""
        async with self._lock:
            row = self._row(name)
            if row["written"] is not None:
                await asyncio.to_thread(apply.disconnect, await self.job(row))
            async with self._database.transaction() as db:
                await store.delete(db, name)
            self._known.pop(name, None)
            self._redactor.forget(_owner(name))

    async def connect(self, name: str, config: ClientConfig | None = None) -> ExternalMcpClient:
        """Writes our entries; on a connected client, again."""
        async with self._lock:
            row = self._known.get(name) or await self._insert(name, config or ClientConfig())
            if config is not None and config != config_of(row):
                row = await self._configure(row, config)
            return await self._shown(await self._connect(row))

    async def disconnect(self, name: str) -> None:
        """Removes exactly what was written; nothing where nothing was."""
        async with self._lock:
            row = self._row(name)
            if row["written"] is None:
                return
            await asyncio.to_thread(apply.disconnect, await self.job(row))
            await self._save({**row, "written": None, "connected_at": None})

    async def restore(self, name: str, backup: str | None) -> ExternalMcpClient:
        """The file as it was before a change; what is in it now becomes a backup itself."""
        async with self._lock:
            row = self._row(name)
            kept = self._backups.of(name)
            if backup is None and not kept:
                raise NotFound("There is no backup of this client's file", name=name)
            content = self._backups.read(name, backup or kept[0].id).decode("utf-8")
            job = await self.job(row)
            await asyncio.to_thread(apply.restore, job, content)
            states = await asyncio.to_thread(apply.states, job)
            if "same" not in states.values() and row["written"] is not None:
                row = await self._save({**row, "written": None, "connected_at": None})
            return await self._shown(row)

    async def job(self, row: Row) -> Job:
        """The client's file on this machine, and what is ours in it."""
        machine = await self.machine()
        target = target_of(machine, row["name"], config_of(row))
        return Job(machine, target, self._backups, record_of(row["written"]))

    async def machine(self) -> Machine:
        path = str(await self._find_path())
        return attrs.evolve(self._machine, environment={**self._machine.environment, "PATH": path})

    def row(self, name: str) -> Row:
        """What is known of a client, registered or not."""
        return self._known.get(name) or new_row(name, ClientConfig())

    def is_token(self, bearer: str) -> bool:
        """Whether a connected client has this token."""
        return bearer in {row["token"] for row in self._known.values() if row["written"] is not None}

    def name_of(self, bearer: str | None, name: str | None) -> str | None:
        """The client that has this token, or calls itself so (percent-encoded)."""
        if bearer is not None:
            for row in self._known.values():
                if row["token"] == bearer:
                    return row["name"]
        called = unquote(name) if name else ""
        return called if called in self._known else None

    def identify(self, bearer: str | None, name: str | None) -> tuple[str, ClientConfig] | None:
        """The client as `name_of` finds it, and what it gets."""
        found = self.name_of(bearer, name)
        return None if found is None else (found, config_of(self._known[found]))

    def is_connected(self, name: str) -> bool:
        return name in self._known and self._known[name]["written"] is not None

    def refresh(self) -> None:
        """Servers came, went or changed: connected clients follow, soon."""
        self._stale.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keeps connected clients in step with the servers."""
        self._stale.set()
        task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def sync(self) -> None:
        """Every connected client gets what it should have now; what others changed stays as it is."""
        for name in sorted(self._known):
            async with self._lock:
                row = self._known.get(name)
                if row is None or row["written"] is None:
                    continue
                try:
                    await self._connect(row, repair=False)
                except GatewayError as error:
                    log.warning("The MCP client %s could not be kept in step: %s", name, error.message)

    async def _follow(self) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            await self.sync()

    async def _connect(self, row: Row, *, repair: bool = True) -> Row:
        job = await self.job(row)
        entries = self.offered(job, row)
        if not repair and entries == job.record.entries:
            return row
        # The intention comes first: after a crash in between, the entries are known to be ours.
        intended = attrs.evolve(job.record, entries={**job.record.entries, **entries})
        before = row
        row = await self._save({**row, "written": written_of(intended)})
        try:
            record = await asyncio.to_thread(apply.connect, job, entries, repair=repair)
        except GatewayError:
            await self._save(before)
            raise
        return await self._save(
            {**row, "written": written_of(record), "connected_at": row["connected_at"] or timestamp.now()}
        )

    async def _configure(self, row: Row, config: ClientConfig) -> Row:
        """Another configuration; where it names another file, our entries leave the old one."""
        job = await self.job(row)
        target = target_of(job.machine, row["name"], config)
        if target.path != job.target.path and row["written"] is not None:
            await asyncio.to_thread(apply.disconnect, job)
            row = {**row, "written": None, "connected_at": None}
        return await self._save({**row, "config": attrs.asdict(config)})

    def offered(self, job: Job, row: Row) -> dict[str, dict[str, Any]]:
        """The entries that the client should have now."""
        names = [server.name for server in self._servers.list_all() if server.enabled]
        return offered(self._gateway, job.target, row["token"], config_of(row), names)

    async def _insert(self, name: str, config: ClientConfig) -> Row:
        target_of(self._machine, name, config)
        row = new_row(name, config)
        async with self._database.transaction() as db:
            await store.insert(db, row)
        return self._remember(row)

    async def _save(self, row: Row) -> Row:
        row = {**row, "updated_at": timestamp.now()}
        async with self._database.transaction() as db:
            await store.update(db, row)
        return self._remember(row)

    def _remember(self, row: Row) -> Row:
        self._known[row["name"]] = row
        self._redactor.replace(_owner(row["name"]), [row["token"]])
        return row

    def _row(self, name: str) -> Row:
        row = self._known.get(name)
        if row is None:
            raise NotFound("External MCP client not found", name=name)
        return row

    async def _shown(self, row: Row) -> ExternalMcpClient:
        job = await self.job(row)
        problem, states = None, {}
        try:
            states = await asyncio.to_thread(apply.states, job)
        except GatewayError as error:
            problem = error.message
        target = job.target
        async with self._database.read() as db:
            usage = await mcp_request_log.usage_of_client(db, row["name"])
        return ExternalMcpClient(
            name=row["name"],
            title=target.title,
            config=config_of(row),
            path=str(target.path),
            format=target.client.form.value,
            is_known=bool(target.client.instances),
            is_installed=target.is_installed,
            is_connected=row["written"] is not None,
            is_drifted=any(state != "same" for state in states.values()),
            entries=[WrittenEntry(name=name, state=state) for name, state in states.items()],
            problem=problem,
            notes=list(target.client.notes),
            last_seen_at=usage["last_seen_at"],
            requests=usage["requests"],
            connected_at=row["connected_at"],
            created_at=row["created_at"],
            updated_at=row["updated_at"],
        )


def _owner(name: str) -> str:
    return f"external_mcp_client:{name}"

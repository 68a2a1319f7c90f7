"""The person's other AI programs: connected through their own files, kept in step, disconnected."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs

from archestra_gateway import timestamp
from archestra_gateway.client_configs import apply
from archestra_gateway.client_configs.apply import Job
from archestra_gateway.client_configs.backups import Backups
from archestra_gateway.client_configs.machine import Machine
from archestra_gateway.client_configs.plan import Record, State
from archestra_gateway.client_configs.targets import Target
from archestra_gateway.errors import Conflict, GatewayError, NotFound, ValidationFailed
from archestra_gateway.schemas.external_mcp_client import (
    ClientConfig,
    CreateExternalMcpClient,
    ExternalMcpClient,
    WrittenEntry,
)
from archestra_gateway.services.external_mcp_client_known import Known, KnownClients
from archestra_gateway.services.external_mcp_client_target import Gateway, gone, offered, target_of
from archestra_gateway.services.mcp_server import McpServers
from archestra_gateway.store import mcp_request_log
from archestra_gateway.store.database import Database

log = logging.getLogger(__name__)


@attrs.frozen
class ExternalMcpClients:
    """One change at a time; what touches files runs in a thread. `find_path` tells the terminal's PATH."""

    _known: KnownClients
    _database: Database
    _servers: McpServers
    _gateway: Gateway
    _backups: Backups
    _machine: Machine
    _find_path: Callable[[], Awaitable[object]]
    _lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    _stale: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def list_all(self) -> list[ExternalMcpClient]:
        return [await self._shown(self._known.get(name)) for name in self._known.names()]

    async def get(self, name: str) -> ExternalMcpClient:
        """Raises NotFound."""
        return await self._shown(self._known.get(name))

    async def create(self, wanted: CreateExternalMcpClient) -> ExternalMcpClient:
        """Known from now on, not yet connected. Raises Conflict when it is known already."""
        async with self._lock:
            if self._known.find(wanted.name):
                raise Conflict(f"There is a client named {wanted.name} already", name=wanted.name)
            return await self._shown(await self._insert(wanted.name, wanted.config))

    async def update(self, name: str, config: ClientConfig) -> ExternalMcpClient:
        """A connected client gets the entries that the new configuration asks for."""
        async with self._lock:
            known = self._known.get(name)
            changed = await self._configure(known, config)
            return await self._shown(await self._connect(changed) if known.is_connected else changed)

    async def delete(self, name: str) -> None:
        """Disconnects it first."""
        async with self._lock:
            await self._take_out(self._known.get(name))
            await self._known.delete(name)

    async def connect(
        self, name: str, config: ClientConfig | None = None, instead_of: Sequence[str] = ()
    ) -> ExternalMcpClient:
        """Writes our entries; on a connected client, again. Others that they are `instead_of` go."""
        async with self._lock:
            known = self._known.find(name) or await self._insert(name, config or ClientConfig())
            if config is not None and config != known.config:
                known = await self._configure(known, config)
            return await self._shown(await self._connect(known, instead_of=instead_of))

    async def disconnect(self, name: str) -> None:
        """Removes exactly what was written; nothing where nothing was."""
        async with self._lock:
            known = self._known.get(name)
            if known.is_connected:
                await self._take_out(known)
                await self._known.save(known.disconnected())

    async def restore(self, name: str, backup: str | None) -> ExternalMcpClient:
        """The file as it was before a change; what is in it now becomes a backup itself."""
        async with self._lock:
            known = self._known.get(name)
            kept = self._backups.of(name)
            if backup is None and not kept:
                raise NotFound("There is no backup of this client's file", name=name)
            content = self._backups.read(name, backup or kept[0].id).decode("utf-8")
            job = await self.job(known)
            await asyncio.to_thread(apply.restore, job, content)
            states = await asyncio.to_thread(apply.states, job)
            if "same" not in states.values() and known.is_connected:
                known = await self._known.save(known.disconnected())
            return await self._shown(known)

    async def job(self, known: Known) -> Job:
        """The client's file on this machine, and what is ours in it."""
        machine = await self.machine()
        target = target_of(machine, known.name, known.config)
        return Job(machine, target, self._backups, known.record or Record())

    async def machine(self) -> Machine:
        path = str(await self._find_path())
        return attrs.evolve(self._machine, environment={**self._machine.environment, "PATH": path})

    def named(self, name: str) -> Known:
        """What is known of a client, registered or not."""
        return self._known.find(name) or Known.new(name, ClientConfig())

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
        for name in self._known.names():
            async with self._lock:
                known = self._known.find(name)
                if known is None or not known.is_connected:
                    continue
                try:
                    await self._connect(known, repair=False)
                except GatewayError as error:
                    log.warning("The MCP client %s could not be kept in step: %s", name, error.message)

    async def _follow(self) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            await self.sync()

    async def _connect(self, known: Known, *, repair: bool = True, instead_of: Sequence[str] = ()) -> Known:
        job = await self.job(known)
        entries = self.offered(job, known)
        if not repair and entries == job.record.entries:
            return known
        # The intention comes first: after a crash in between, the entries are known to be ours.
        intended = attrs.evolve(job.record, entries={**job.record.entries, **entries})
        begun = await self._known.save(attrs.evolve(known, record=intended))
        try:
            record = await asyncio.to_thread(
                apply.connect, job, entries, repair=repair, instead_of=instead_of
            )
        except GatewayError:
            await self._known.save(known)
            raise
        connected_at = known.connected_at or timestamp.now()
        return await self._known.save(attrs.evolve(begun, record=record, connected_at=connected_at))

    async def _take_out(self, known: Known) -> None:
        """Whoever was in a file that is no more is in it no more."""
        if known.is_connected:
            with contextlib.suppress(ValidationFailed):
                await asyncio.to_thread(apply.disconnect, await self.job(known))

    async def _configure(self, known: Known, config: ClientConfig) -> Known:
        """Another configuration; where it names another file, our entries leave the old one."""
        machine = await self.machine()
        target = target_of(machine, known.name, config)
        if known.is_connected and target.path != _path_of(machine, known):
            await self._take_out(known)
            known = known.disconnected()
        return await self._known.save(attrs.evolve(known, config=config))

    def offered(self, job: Job, known: Known) -> dict[str, dict[str, Any]]:
        """The entries that the client should have now."""
        names = [server.name for server in self._servers.list_all() if server.enabled]
        return offered(self._gateway, job.target, known.token, known.config, names)

    async def _insert(self, name: str, config: ClientConfig) -> Known:
        target_of(self._machine, name, config)
        return await self._known.insert(Known.new(name, config))

    async def _looked_at(self, known: Known) -> tuple[Target, dict[str, State], str | None]:
        """Its file, what has become of our entries there, and why that can not be told."""
        try:
            job = await self.job(known)
        except ValidationFailed as error:
            return gone(known.name), {}, error.message
        try:
            return job.target, await asyncio.to_thread(apply.states, job), None
        except GatewayError as error:
            return job.target, {}, error.message

    async def _shown(self, known: Known) -> ExternalMcpClient:
        target, states, problem = await self._looked_at(known)
        async with self._database.read() as db:
            usage = await mcp_request_log.usage_of_client(db, known.name)
        return ExternalMcpClient(
            name=known.name,
            title=target.title,
            config=known.config,
            path=str(target.path),
            format=target.client.form.value,
            is_known=bool(target.client.instances),
            is_installed=target.is_installed,
            is_connected=known.is_connected,
            is_drifted=any(state != "same" for state in states.values()),
            entries=[WrittenEntry(name=name, state=state) for name, state in states.items()],
            problem=problem,
            notes=[*target.client.notes, *self._missing_servers(known)],
            last_seen_at=usage["last_seen_at"],
            requests=usage["requests"],
            connected_at=known.connected_at,
            created_at=known.created_at,
            updated_at=known.updated_at,
        )

    def _missing_servers(self, known: Known) -> list[str]:
        there = {server.name for server in self._servers.list_all()}
        missing = [name for name in known.config.servers or () if name not in there]
        return [f"There is no MCP server {name}, which it is to get." for name in missing]


def _path_of(machine: Machine, known: Known) -> Path | None:
    try:
        return target_of(machine, known.name, known.config).path
    except ValidationFailed:
        return None

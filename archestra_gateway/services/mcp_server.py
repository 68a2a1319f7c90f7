"""MCP servers: their configurations in the database, and all of them in memory, ready to be called."""

import logging
import tempfile
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

import attrs

from archestra_gateway import timestamp
from archestra_gateway.errors import Conflict, NotFound
from archestra_gateway.log import Redactor
from archestra_gateway.schemas.mcp_server import (
    CreateMcpServer,
    HttpConfig,
    LogLine,
    McpServer,
    ServerConfig,
    StdioConfig,
    UpdateMcpServer,
)
from archestra_gateway.schemas.oauth import OAuthClient
from archestra_gateway.schemas.permissions import Denials, Learned, Permissions
from archestra_gateway.services.install import Installs
from archestra_gateway.services.mcp_server_permissions import forget_home, from_row, learned
from archestra_gateway.services.mcp_server_secrets import masked, named_values, secrets, unmasked
from archestra_gateway.services.mcp_server_values import keep, owner, restored, with_values, without_values
from archestra_gateway.services.secret import Secrets, references
from archestra_gateway.services.vault import Unreadable, Vault
from archestra_gateway.store import mcp_server as store
from archestra_gateway.store.database import Database
from archestra_gateway.upstreams.pool import Pool
from archestra_gateway.upstreams.server import Server
from archestra_gateway.upstreams.stderr import Line

log = logging.getLogger(__name__)

BUILT_IN = "filesystem-server"


@attrs.define(eq=False)
class Known:
    """A row and the live server that it describes."""

    server: Server
    created_at: str
    updated_at: str
    unreadable: Unreadable | None = None


@attrs.frozen
class McpServers:
    """Made by `load`. Finding a server never waits: the proxy asks for every call."""

    _database: Database
    _vault: Vault
    _secrets: Secrets
    _redactor: Redactor
    _pool: Pool
    _installs: Installs
    _known: dict[str, Known] = attrs.field(factory=dict)
    _watchers: list[Callable[[], None]] = attrs.field(factory=list)

    @classmethod
    async def load(
        cls,
        database: Database,
        vault: Vault,
        secrets: Secrets,
        redactor: Redactor,
        pool: Pool,
        installs: Installs,
        files: Path,
    ) -> Self:
        """A new database gets the built-in server, which keeps its files in `files`."""
        servers = cls(database, vault, secrets, redactor, pool, installs)
        installs.switched = servers._restart_with_new_program
        async with database.read() as db:
            for row in await store.list_all(db):
                try:
                    servers._remember(await restored(db, vault, row))
                except Unreadable as error:
                    log.warning("%s", error.message)
                    servers._remember(with_values(row, {})).unreadable = error
        if database.is_new:
            await servers.create(built_in(files))
        return servers

    def watch(self, watcher: Callable[[], None]) -> None:
        """`watcher` is called when a server came, went, or was switched on or off."""
        self._watchers.append(watcher)

    def find(self, name: str) -> Server:
        """Raises NotFound."""
        return self._get(name).server

    def known(self) -> list[Known]:
        """All of them, by name."""
        return [self._known[name] for name in sorted(self._known)]

    def list_all(self) -> list[McpServer]:
        return [self._shown(self._known[name]) for name in sorted(self._known)]

    def get(self, name: str) -> McpServer:
        return self._shown(self._get(name))

    async def resolved(self, name: str) -> ServerConfig:
        """With values in place of references."""
        known = self._get(name)
        if known.unreadable is not None:
            raise known.unreadable
        return await self._secrets.resolve(known.server.config)

    async def create(self, wanted: CreateMcpServer) -> McpServer:
        """Raises Conflict when the name is taken."""
        now = timestamp.now()
        config = unmasked(wanted.server_config, None)
        row = _row(wanted.name, config, wanted.permissions, wanted.enabled, now, now)
        async with self._database.transaction() as db:
            if not await store.insert(db, without_values(row)):
                raise Conflict(f"There is an MCP server named {wanted.name} already", name=wanted.name)
            await keep(db, self._vault, row)
        shown = self._shown(self._remember(row))
        self._tell()
        return shown

    async def update(self, name: str, wanted: UpdateMcpServer) -> McpServer:
        """A server that runs is restarted when its configuration or a permission changes."""
        known = self._get(name)
        server = known.server
        config, enabled = server.config, server.is_enabled
        if wanted.server_config is not None:
            config = unmasked(wanted.server_config, server.config)
        if wanted.enabled is not None:
            enabled = wanted.enabled
        await self._save(known, config, wanted.permissions or server.permissions, enabled)
        return self._shown(known)

    async def delete(self, name: str) -> None:
        async with self._database.transaction() as db:
            if not await store.delete(db, name):
                raise _not_found(name)
            await self._vault.forget(db, owner(name))
        known = self._known.pop(name)
        known.server.is_enabled = False
        await known.server.stop()
        await known.server.authorization.forget()
        await self._installs.forget(name)
        await forget_home(self._pool.sandbox, name)
        self._redactor.forget(owner(name))
        self._tell()

    async def start(self, name: str) -> McpServer:
        """Raises what keeps it from starting."""
        known = self._get(name)
        self._installs.failures.pop(name, None)
        await self._save(known, known.server.config, known.server.permissions, enabled=True)
        await known.server.start()
        return self._shown(known)

    async def stop(self, name: str) -> McpServer:
        """It stays stopped, for calls too, until somebody starts it."""
        known = self._get(name)
        await self._save(known, known.server.config, known.server.permissions, enabled=False)
        return self._shown(known)

    async def restart(self, name: str) -> McpServer:
        await self._get(name).server.stop()
        return await self.start(name)

    async def secret_changed(self, name: str) -> None:
        """Those that run with a stored secret's old value are started again with the new one."""
        for known in list(self._known.values()):
            server = known.server
            if any(name in references(value) for value in named_values(server.config).values()):
                await server.change(server.config, server.permissions, is_enabled=server.is_enabled)

    def denials(self, name: str) -> Denials:
        return Denials(denials=self.find(name).denials.shown())

    async def learn(self, name: str) -> Learned:
        """Run it once behind a gate that takes notes, and propose what would have been enough."""
        return await learned(self.find(name))

    async def tools(self, name: str) -> list[dict[str, Any]]:
        return await self.find(name).tools()

    def logs(self, name: str) -> list[LogLine]:
        return [shown_line(line) for line in self.find(name).stderr.since(0)]

    async def follow_logs(self, name: str) -> AsyncIterator[LogLine]:
        """The lines that are there, and those that come."""
        stderr = self.find(name).stderr
        position = 0
        while True:
            lines = stderr.since(position)
            position = stderr.position
            for line in lines:
                yield shown_line(line)
            await stderr.wait(position)

    def _get(self, name: str) -> Known:
        known = self._known.get(name)
        if known is None:
            raise _not_found(name)
        return known

    async def _save(
        self, known: Known, config: ServerConfig, permissions: Permissions, enabled: bool
    ) -> None:
        server = known.server
        if (config, permissions, enabled) == (server.config, server.permissions, server.is_enabled):
            return
        now = timestamp.now()
        row = _row(server.name, config, permissions, enabled, known.created_at, now)
        async with self._database.transaction() as db:
            if not await store.update(db, without_values(row)):
                raise _not_found(server.name)
            if config != server.config:
                await keep(db, self._vault, row)
                known.unreadable = None
        known.updated_at = now
        self._redactor.replace(owner(server.name), {*secrets(config), *secrets(server.config)})
        if _url(config) != _url(server.config):
            await server.authorization.forget()
        if config != server.config:
            await self._installs.cancel(server.name)
            self._installs.failures.pop(server.name, None)
        await server.change(config, permissions, is_enabled=enabled)
        self._redactor.replace(owner(server.name), secrets(config))
        self._tell()

    def _tell(self) -> None:
        for watcher in self._watchers:
            watcher()

    def _remember(self, row: store.Row) -> Known:
        config = _config(row["server_config"])
        self._redactor.replace(owner(row["name"]), secrets(config))
        server = Server(row["name"], config, self._pool, from_row(row["permissions"]))
        server.prepare = partial(self._prepare, server)
        server.is_enabled = row["enabled"]
        known = self._known[row["name"]] = Known(server, row["created_at"], row["updated_at"])
        return known

    async def _prepare(self, server: Server, config: ServerConfig) -> ServerConfig:
        """As it is started: with values in place of references, and the installed program for a package."""
        if (unreadable := self._get(server.name).unreadable) is not None:
            raise unreadable
        config = await self._secrets.resolve(config)
        if isinstance(config, HttpConfig):
            return config
        return await self._installs.ready(server.name, config, server.permissions)

    async def _restart_with_new_program(self, name: str) -> None:
        """Only one that runs: a start that waits for the installation goes on by itself."""
        if (known := self._known.get(name)) is not None and self._pool.of(name):
            server = known.server
            await server.change(server.config, server.permissions, is_enabled=server.is_enabled)

    def _shown(self, known: Known) -> McpServer:
        server = known.server
        status = server.status()
        if status.state != "running" and self._installs.is_installing(server.name):
            status = attrs.evolve(status, state="installing")
        return McpServer(
            name=server.name,
            server_config=masked(server.config),
            permissions=server.permissions,
            enabled=server.is_enabled,
            status=status,
            created_at=known.created_at,
            updated_at=known.updated_at,
        )


def built_in(files: Path) -> CreateMcpServer:
    """What a new database has in it, so that there is something to call at once; it changes with us alone."""
    files.mkdir(mode=0o700, parents=True, exist_ok=True)
    shared = tempfile.gettempdir()
    args = ["--read-only", shared, "--read-write", str(files)]
    return CreateMcpServer(
        name=BUILT_IN,
        server_config=StdioConfig(command="archestra-filesystem-server", args=args),
        permissions=Permissions(read_only=[shared], read_write=[str(files)], tool_changes="accept"),
    )


def shown_line(line: Line) -> LogLine:
    return LogLine(timestamp=timestamp.from_seconds(line.time), text=line.text)


def _row(
    name: str,
    config: ServerConfig,
    permissions: Permissions,
    enabled: bool,
    created_at: str,
    updated_at: str,
) -> store.Row:
    return store.Row(
        name=name,
        server_config=attrs.asdict(config),
        permissions=attrs.asdict(permissions),
        enabled=enabled,
        created_at=created_at,
        updated_at=updated_at,
    )


def _config(stored: dict[str, Any]) -> ServerConfig:
    if stored["transport"] == "stdio":
        return StdioConfig(**stored)
    oauth = stored.get("oauth")
    return HttpConfig(**{**stored, "oauth": OAuthClient(**oauth) if oauth else None})


def _url(config: ServerConfig) -> str | None:
    """What a login is bound to."""
    return config.url if isinstance(config, HttpConfig) else None


def _not_found(name: str) -> NotFound:
    return NotFound("MCP server not found", name=name)

"""What is in the files of external MCP clients: what would change, which servers there are to bring in."""

import asyncio
import json
from typing import Any

import attrs

from archestra_gateway.catalog.built_in import known_permissions
from archestra_gateway.catalog.text import slug
from archestra_gateway.client_configs import apply, plan
from archestra_gateway.client_configs.apply import Job
from archestra_gateway.client_configs.backups import Backups
from archestra_gateway.client_configs.client import Snippet
from archestra_gateway.client_configs.entry import Remote, remote_entry
from archestra_gateway.client_configs.found_server import FoundServer
from archestra_gateway.client_configs.table import SNIPPETS
from archestra_gateway.client_configs.targets import Target, targets
from archestra_gateway.errors import GatewayError, NotFound
from archestra_gateway.log import REDACTED, Redactor
from archestra_gateway.schemas.external_mcp_client import (
    BackupFile,
    FoundMcpServer,
    ImportedServer,
    ImportResult,
    ImportServers,
    PasteInstruction,
    Preview,
    PreviewExternalMcpClient,
    SupportedClient,
    SupportedClients,
)
from archestra_gateway.schemas.mcp_server import CreateMcpServer, HttpConfig, StdioConfig
from archestra_gateway.schemas.permissions import Permissions
from archestra_gateway.services.external_mcp_client import ExternalMcpClients
from archestra_gateway.services.external_mcp_client_known import KnownClients
from archestra_gateway.services.external_mcp_client_target import ENTRY
from archestra_gateway.services.mcp_server import McpServers

PASTED = "TOKEN is what `archestra-gateway token --limited` prints"


@attrs.frozen
class ClientFiles:
    """Looks, and leaves what it sees as it is; only an import with `replace` writes."""

    _known: KnownClients
    _clients: ExternalMcpClients
    _servers: McpServers
    _backups: Backups
    _redactor: Redactor
    _url: str
    _needs_token: bool

    async def supported(self) -> SupportedClients:
        """Every client that the gateway knows, as it is on this machine."""
        machine = await self._clients.machine()
        found = await asyncio.to_thread(targets, machine)
        headers = {"Authorization": "Bearer TOKEN"} if self._needs_token else {}
        remote = Remote(ENTRY, f"{self._url}/mcp", headers)
        return SupportedClients(
            clients=[_supported(target, self._known.is_connected(target.name)) for target in found],
            snippets=[_pasted(snippet, remote) for snippet in SNIPPETS],
        )

    async def preview(self, wanted: PreviewExternalMcpClient) -> Preview:
        """What connecting or disconnecting would do now."""
        known = self._clients.named(wanted.client_name)
        if wanted.config is not None:
            known = attrs.evolve(known, config=wanted.config)
        job = await self._clients.job(known)
        entries = self._clients.offered(job, known)
        is_connect = wanted.operation == "connect"
        make = apply.planned_connect(job, entries) if is_connect else apply.planned_disconnect(job)
        old, new = await asyncio.to_thread(apply.preview, job, make)
        lines = apply.command_lines(job, entries) if is_connect and not job.record.entries else []
        path = str(job.target.path)
        return Preview(
            client_name=wanted.client_name,
            operation=wanted.operation,
            path=path,
            is_changed=old != new,
            difference=self._redactor.text(plan.difference(path, old, new)).replace(known.token, REDACTED),
            command=lines[0] if lines else None,
            notes=list(job.target.client.notes),
        )

    def backups(self, name: str) -> list[BackupFile]:
        """The newest first."""
        return [BackupFile(id=backup.id, size=backup.size) for backup in self._backups.of(name)]

    async def servers(self, name: str) -> list[FoundMcpServer]:
        """Every server in the client's file; ours are marked."""
        job = await self._clients.job(self._clients.named(name))
        found = await asyncio.to_thread(apply.servers, job)
        return [self._shown(job, server) for server in found]

    async def found(self, name: str) -> dict[str, FoundServer]:
        """The servers in the client's file that are not the gateway itself."""
        job = await self._clients.job(self._clients.named(name))
        servers = await asyncio.to_thread(apply.servers, job)
        return {server.name: server for server in servers if not self._is_gateway(job, server)}

    async def bring_in(self, name: str, wanted: ImportServers) -> ImportResult:
        """The chosen servers as MCP servers of the gateway."""
        job = await self._clients.job(self._clients.named(name))
        found = {server.name: server for server in await asyncio.to_thread(apply.servers, job)}
        missing = [chosen for chosen in wanted.servers if chosen not in found]
        if missing:
            raise NotFound(f"{job.target.title} has no server named {missing[0]}", server=missing[0])
        results = [await self._bring_in(job, found[chosen]) for chosen in wanted.servers]
        imported = [result.found for result in results if result.name]
        if not wanted.replace or not imported:
            return ImportResult(servers=results, client=None)
        client = await self._clients.connect(name, instead_of=imported)
        return ImportResult(servers=results, client=client)

    async def _bring_in(self, job: Job, found: FoundServer) -> ImportedServer:
        problem = self._problem(job, found)
        if problem:
            return ImportedServer(found=found.name, name=None, problem=problem)
        config: StdioConfig | HttpConfig
        try:
            if found.transport == "stdio":
                config = StdioConfig(
                    command=found.command, args=list(found.args), env=dict(found.env), cwd=found.cwd
                )
            else:
                # Some clients take "sse" for granted; which transport it is, the first call finds out.
                config = HttpConfig(transport="http", url=found.url, headers=dict(found.headers))
            created = await self._servers.create(
                CreateMcpServer(
                    name=slug(found.name),
                    server_config=config,
                    permissions=known_permissions(config) or Permissions(),
                    enabled=found.is_enabled,
                )
            )
        except (GatewayError, ValueError) as error:
            return ImportedServer(found=found.name, name=None, problem=str(error))
        return ImportedServer(found=found.name, name=created.name, problem=None)

    def _is_gateway(self, job: Job, found: FoundServer) -> bool:
        return found.name in job.record.entries or found.url.startswith(f"{self._url}/")

    def _problem(self, job: Job, found: FoundServer) -> str | None:
        if self._is_gateway(job, found):
            return "This is the gateway itself"
        if found.placeholders:
            return (
                f"{', '.join(found.placeholders)} is filled in by the client: add the server with the value"
            )
        return None

    def _shown(self, job: Job, found: FoundServer) -> FoundMcpServer:
        return FoundMcpServer(
            name=found.name,
            transport=found.transport,
            command=found.command,
            args=list(found.args),
            env=list(found.env),
            url=found.url,
            headers=list(found.headers),
            is_enabled=found.is_enabled,
            is_gateway=self._is_gateway(job, found),
            problem=self._problem(job, found),
        )


def _supported(target: Target, is_connected: bool) -> SupportedClient:
    return SupportedClient(
        name=target.name,
        title=target.title,
        path=str(target.path),
        format=target.client.form.value,
        transport="http" if target.client.http else "stdio",
        is_installed=target.is_installed,
        is_connected=is_connected,
        must_be_quit=target.client.must_be_quit,
        notes=list(target.client.notes),
    )


def _pasted(snippet: Snippet, remote: Remote) -> PasteInstruction:
    value: dict[str, Any] = remote_entry(snippet.entry, remote)
    for key in reversed(snippet.path):
        value = {remote.name if key == "$name" else key: value}
    where = f"{snippet.where}. {PASTED}" if remote.headers else snippet.where
    return PasteInstruction(
        name=snippet.id, title=snippet.title, where=where, text=json.dumps(value, indent=2)
    )

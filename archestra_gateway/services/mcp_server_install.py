"""Installing, cancelling and updating MCP servers by name: what people and the catalog order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
from msgspec import Raw

from archestra_gateway.errors import Conflict, GatewayError, InvalidRequest, NotFound
from archestra_gateway.packages import npm
from archestra_gateway.packages.installer import Order
from archestra_gateway.packages.locked import Lock, Program, changes
from archestra_gateway.packages.package import Package
from archestra_gateway.packages.report import InstallFailed
from archestra_gateway.packages.tree import remove
from archestra_gateway.protocol.tool_definition import Definition
from archestra_gateway.sandbox.grants import Wish
from archestra_gateway.schemas.mcp_server import StdioConfig
from archestra_gateway.schemas.mcp_server_install import (
    InstalledPackage,
    McpServerInstall,
    PackageChange,
    ToolsChange,
    UpdatePreview,
)
from archestra_gateway.services.install import Installs
from archestra_gateway.services.install_job import Job, Note
from archestra_gateway.services.installed import package_of
from archestra_gateway.services.mcp_server import McpServers
from archestra_gateway.store import mcp_server_install as store
from archestra_gateway.upstreams.pins import NO_ABILITIES, Pins
from archestra_gateway.upstreams.pool import Pool
from archestra_gateway.upstreams.tryout import try_out


@attrs.define(eq=False)
class McpServerInstalls:
    """Installing happens by itself at a server's first start; here it is ordered before, and watched."""

    servers: McpServers
    installs: Installs
    pool: Pool
    _plans: dict[str, Lock] = attrs.field(factory=dict)

    async def get(self, name: str) -> McpServerInstall:
        """Raises NotFound."""
        config = self.servers.find(name).config
        if not isinstance(config, StdioConfig):
            return McpServerInstall(name=name, state="not_needed")
        try:
            package = package_of(config)
        except GatewayError as error:
            return McpServerInstall(name=name, state="failed", error=error.message)
        return await self._shown(name, config, package)

    async def start(self, name: str) -> McpServerInstall:
        """Begin, in the background; what is installed already is installed anew, in its very versions.

        Raises Conflict while it is being installed, InvalidRequest where there is nothing to install.
        """
        config, package = await self._package(name)
        row = self.installs.installed.row(name, package)
        self.installs.begin(
            name, config, package, self.installs.installed.lock(row, package) if row else None
        )
        return await self.get(name)

    async def wait(self, name: str) -> McpServerInstall:
        """To the end of what goes on. Raises what it failed with."""
        job = self.installs.jobs.get(name)
        if job is not None and job.task is not None:
            await asyncio.wait([job.task])
            if job.error is not None:
                raise job.error
        return await self.get(name)

    async def cancel(self, name: str) -> None:
        """Raises NotFound when nothing is going on."""
        self.servers.find(name)
        if not await self.installs.cancel(name):
            raise NotFound(f"The MCP server {name} is not being installed now", name=name)

    def job(self, name: str) -> Job | None:
        """What goes on, to be followed. Raises NotFound."""
        self.servers.find(name)
        return self.installs.jobs.get(name)

    async def follow(self, job: Job) -> AsyncIterator[Note]:
        """What was said so far and what comes; raises what it ended with."""
        async for note in job.notes():
            yield note
        if job.error is not None:
            raise job.error

    async def result(self, name: str) -> McpServerInstall:
        """What is installed; raises what keeps it from that."""
        shown = await self.get(name)
        if shown.state == "failed":
            failure = self.installs.failures.get(name)
            raise failure.error if failure else InstallFailed(shown.error or "")
        return shown

    async def preview(self, name: str, *, with_tools: bool = False) -> UpdatePreview:
        """Resolved anew, and nothing changed; `with_tools` tries the new version out, beside the old one.

        Raises InvalidRequest when nothing is installed.
        """
        config, package, row = await self._installed(name)
        if self.installs.is_installing(name):
            raise Conflict(f"The MCP server {name} is being installed now", name=name)
        before = self.installs.installed.lock(row, package)
        async with self._rehearsal(name, config, package) as (order, job):
            after = await self.installs.installer.resolve(order, job)
            tools = None
            if with_tools:
                program = await self.installs.installer.install(order, after, job)
                started = await self.installs.installed.started(order.folder, program, config, package)
                tools = differing(self.servers.find(name).pins, await self.check(name).tools(started))
        self._plans[name] = after
        return UpdatePreview(
            name=name,
            version=before.version,
            new_version=after.version,
            changes=[
                PackageChange(name=each.name, before=each.before, after=each.after)
                for each in changes(before.packages, after.packages)
            ],
            tools=tools,
            plan=after.plan,
        )

    @asynccontextmanager
    async def _rehearsal(
        self, name: str, config: StdioConfig, package: Package
    ) -> AsyncIterator[tuple[Order, Job]]:
        """In a folder that is gone in the end."""
        async with self.installs.installed.stage(name) as folder:
            try:
                yield (
                    await self.installs.order(name, config, package, folder),
                    Job(name, self.installs.redactor.text),
                )
            finally:
                self.installs.redactor.forget(f"install:{name}")
                await asyncio.shield(asyncio.to_thread(remove, folder))

    async def update(self, name: str, plan: str | None) -> McpServerInstall:
        """Begin; the old one stays until the new one has started and told its tools.

        Raises Conflict for a plan that is not the last one that was shown.
        """
        config, package, _ = await self._installed(name)
        lock = self._plans.get(name)
        if plan is not None and (lock is None or lock.plan != plan):
            raise Conflict(
                f"That plan is not the last one for {name}: look at the update again", name=name, plan=plan
            )
        self.installs.begin(name, config, package, lock if plan else None, self.check(name))
        self._plans.pop(name, None)
        return await self.get(name)

    def check(self, name: str) -> "TryOut":
        return TryOut(name, self.servers, self.pool)

    async def _package(self, name: str) -> tuple[StdioConfig, Package]:
        config = await self.servers.resolved(name)
        package = package_of(config) if isinstance(config, StdioConfig) else None
        if package is None or not isinstance(config, StdioConfig):
            raise InvalidRequest(
                f"There is nothing to install for the MCP server {name}: its command is no package of npm or "
                "PyPI",
                name=name,
            )
        return config, package

    async def _installed(self, name: str) -> tuple[StdioConfig, Package, store.Row]:
        config, package = await self._package(name)
        row = self.installs.installed.row(name, package)
        if row is None:
            raise InvalidRequest(f"The MCP server {name} is not installed yet", name=name)
        return config, package, row

    async def _shown(self, name: str, config: StdioConfig, package: Package | None) -> McpServerInstall:
        if package is None:
            return McpServerInstall(name=name, state="not_needed", command=[config.command, *config.args])
        row, job = self.installs.installed.row(name, package), self.installs.jobs.get(name)
        failure = self.installs.failures.get(name)
        shown = McpServerInstall(
            name=name,
            state="installed" if row else "missing",
            ecosystem=package.ecosystem,
            wanted=list(package.requirements),
        )
        if row is not None:
            shown = await self._with_row(shown, row, config, package)
        if job is not None:
            return attrs.evolve(
                shown,
                state="installing",
                step=job.current,
                done=job.done,
                total=job.total,
                lines=job.last_words(),
            )
        if failure is not None and failure.source == package.source:
            lines = failure.error.details.get("lines", [])
            state = shown.state if row else "failed"
            return attrs.evolve(shown, state=state, error=failure.error.message, lines=lines)
        return shown

    async def _with_row(
        self, shown: McpServerInstall, row: store.Row, config: StdioConfig, package: Package
    ) -> McpServerInstall:
        folder, program = self.installs.installed.folder(row), Program.of(row["program"])
        lock = self.installs.installed.lock(row, package)
        try:
            command = [*await self.installs.installer.command(folder, program), *package.args]
        except GatewayError:  # what runs it went away, and comes again with the next start
            command = []
        return attrs.evolve(
            shown,
            version=row["version"],
            command=command,
            packages=[
                InstalledPackage(name=each.name, version=each.version, hashes=list(each.hashes))
                for each in lock.packages
            ],
            skipped_scripts=npm.skipped_scripts(row["lock_text"]) if package.ecosystem == "npm" else [],
            lock_sha256=lock.sha256,
            files_sha256=row["digest"],
            installed_at=row["installed_at"],
        )


@attrs.frozen
class TryOut:
    """The new one is started once, confined as it will be, beside the old one: how do its tools differ?"""

    name: str
    servers: McpServers
    pool: Pool

    async def __call__(self, config: StdioConfig) -> None:
        tools, pins = await self.tools(config), self.servers.find(self.name).pins
        await pins.observe(tools, NO_ABILITIES, pins.new_conversation(), is_whole=True)

    async def tools(self, config: StdioConfig) -> list[Raw]:
        permissions = self.servers.find(self.name).permissions
        try:
            return await try_out(Wish(self.name, config, permissions), self.pool)
        except GatewayError as error:
            raise InstallFailed(
                f"The new version does not work, and the old one stays: {error.message}", **error.details
            ) from error


def differing(pins: Pins, tools: list[Raw]) -> ToolsChange:
    """By the names of those that would be held back, and of those that would be missed."""
    offered = [each for tool in tools if (each := Definition.read(tool)) is not None]
    known = {name: pin.definition.digest for name, pin in pins.accepted.items()}
    return ToolsChange(
        added=[each.name for each in offered if each.name not in known],
        changed=[each.name for each in offered if known.get(each.name, each.digest) != each.digest],
        removed=sorted(known.keys() - {each.name for each in offered}),
    )

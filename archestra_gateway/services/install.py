"""Installing the packages that MCP servers are: once, apart from the run, one at a time for each server."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs

from archestra_gateway import timestamp
from archestra_gateway.errors import Conflict, GatewayError, InternalError, UpstreamUnavailable
from archestra_gateway.log import Redactor
from archestra_gateway.packages.installer import Order, PackageInstaller
from archestra_gateway.packages.locked import Lock, Program
from archestra_gateway.packages.package import Package
from archestra_gateway.packages.tree import digest, remove
from archestra_gateway.schemas.mcp_server import StdioConfig
from archestra_gateway.schemas.permissions import Permissions
from archestra_gateway.services.event import Events
from archestra_gateway.services.install_job import Job
from archestra_gateway.services.installed import Installed, package_of, runs_as_it_is
from archestra_gateway.store import mcp_server_install as store
from archestra_gateway.store.database import Database

log = logging.getLogger(__name__)

AT_ONCE = 2
RETRY = 30.0
"""Seconds after a failure in which calls get it told again, instead of another attempt."""
OF_PACKAGE_MANAGERS = ("NPM_CONFIG_", "UV_", "PIP_")

Check = Callable[[StdioConfig], Awaitable[object]]
"""Tries what was installed, before it takes the place of what is there. Raises GatewayError."""


@attrs.frozen
class Failure:
    error: GatewayError
    source: dict[str, Any]
    at: float


@attrs.define(eq=False)
class Installs:
    """Made by `open_installs`. `switched` hears that a server has another installation than before."""

    installed: Installed
    installer: PackageInstaller
    redactor: Redactor
    events: Events
    patience: float
    switched: Callable[[str], Awaitable[None]] = attrs.field(default=lambda name: _nothing())
    jobs: dict[str, Job] = attrs.field(factory=dict)
    failures: dict[str, Failure] = attrs.field(factory=dict)
    _room: asyncio.Semaphore = attrs.field(factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def ready(self, name: str, config: StdioConfig, permissions: Permissions) -> StdioConfig:
        """The configuration with the installed program in its command; installs what is not there.

        Waits for that as long as a start may take. Raises GatewayError. Where no installation can be
        confined, a server that runs without the sandbox installs itself as it starts.
        """
        if runs_as_it_is(config, permissions):
            return config
        if permissions.sandbox == "off" and not await self.installer.workshop.can_confine():
            return config
        package = package_of(config)
        if package is None:
            return config
        installed = self.installed
        row = installed.row(name, package)
        if row is None or not await installed.is_whole(row):
            await self._wait_for(name, config, package)
            row = installed.row(name, package)
        if row is None:
            raise UpstreamUnavailable(f"The MCP server {name} was changed while it was installed", name=name)
        return await installed.started(installed.folder(row), Program.of(row["program"]), config, package)

    def is_installing(self, name: str) -> bool:
        return name in self.jobs

    def begin(
        self,
        name: str,
        config: StdioConfig,
        package: Package,
        lock: Lock | None = None,
        check: Check | None = None,
    ) -> Job:
        """In the background; the job tells how it goes. Raises Conflict when one goes on already."""
        if (other := self.jobs.get(name)) is not None:
            raise Conflict(
                f"The MCP server {name} is being installed already ({other.current}, {other.seconds} seconds "
                f"so far): follow it at GET /api/mcp_server/{name}/install?follow=1",
                name=name,
            )
        self.failures.pop(name, None)
        job = self.jobs[name] = Job(name, self.redactor.text)
        job.task = asyncio.create_task(self._see_through(job, config, package, lock, check))
        return job

    async def cancel(self, name: str) -> bool:
        """False when nothing was going on. Nothing of it is left."""
        job = self.jobs.get(name)
        if job is None or job.task is None:
            return False
        job.task.cancel()
        await asyncio.wait([job.task])
        return True

    async def forget(self, name: str) -> None:
        """The server is gone, and its folder goes with its home."""
        await self.cancel(name)
        self.failures.pop(name, None)
        await self.installed.forget(name)

    def order(self, name: str, config: StdioConfig, package: Package, folder: Path) -> Awaitable[Order]:
        """With what a person wrote into the server's own environment about registries."""
        own = {key: value for key, value in config.env.items() if key.upper().startswith(OF_PACKAGE_MANAGERS)}
        package = attrs.evolve(package, settings={**own, **package.settings})
        return self._order(name, package, folder)

    async def close(self) -> None:
        for name in list(self.jobs):
            await self.cancel(name)

    async def _order(self, name: str, package: Package, folder: Path) -> Order:
        search = await self.installer.workshop.search()
        order = await asyncio.to_thread(self.installer.order, package, name, folder, search)
        self.redactor.replace(f"install:{name}", order.settings.secrets)
        return order

    async def _wait_for(self, name: str, config: StdioConfig, package: Package) -> None:
        job = self.jobs.get(name)
        if job is None:
            failure = self.failures.get(name)
            if failure and failure.source == package.source and time.monotonic() - failure.at < RETRY:
                raise failure.error
            row = self.installed.row(name, package)
            job = self.begin(name, config, package, self.installed.lock(row, package) if row else None)
        assert job.task is not None  # noqa: S101
        try:
            async with asyncio.timeout(self.patience):
                await asyncio.shield(job.task)
        except TimeoutError as error:
            raise UpstreamUnavailable(
                f"The MCP server {name} is being installed ({job.current}, {job.seconds} seconds so far): "
                f"call again in a moment, or follow it at GET /api/mcp_server/{name}/install?follow=1",
                name=name,
                installing=True,
            ) from error
        except asyncio.CancelledError:
            if not job.task.cancelled():
                raise
        if job.error is not None:
            raise job.error

    async def _see_through(
        self, job: Job, config: StdioConfig, package: Package, lock: Lock | None, check: Check | None
    ) -> None:
        error: GatewayError | None = None
        self.events.publish("mcp_server.installing", name=job.name)
        try:
            job.step("waiting")
            async with self._room:
                row = await self._install(job, config, package, lock, check)
            log.info("Installed %s %s for the MCP server %s", package.name, row["version"], job.name)
        except asyncio.CancelledError:
            error = UpstreamUnavailable(f"Installing the MCP server {job.name} was cancelled", name=job.name)
            raise
        except GatewayError as failed:
            error = failed
        except Exception:
            log.exception("Installing the MCP server %s failed", job.name)
            error = InternalError()
        finally:
            del self.jobs[job.name]
            if error is None:
                self.events.publish("mcp_server.installed", name=job.name)
            else:
                log.warning("The MCP server %s was not installed: %s", job.name, error.message)
                self.failures[job.name] = Failure(error, package.source, time.monotonic())
                self.events.publish("mcp_server.install_failed", name=job.name, message=error.message)
            self.redactor.forget(f"install:{job.name}")
            job.end(error)

    async def _install(
        self, job: Job, config: StdioConfig, package: Package, lock: Lock | None, check: Check | None
    ) -> store.Row:
        async with self.installed.stage(job.name) as folder:
            order = await self.order(job.name, config, package, folder)
            lock = lock or await self.installer.resolve(order, job)
            program = await self.installer.install(order, lock, job)
            row = store.Row(
                server_name=job.name,
                source=package.source,
                version=lock.version,
                folder=folder.name,
                program=attrs.asdict(program),
                lock_text=lock.text,
                python=lock.python,
                digest=await asyncio.to_thread(digest, folder),
                installed_at=timestamp.now(),
            )
            if check is not None:
                job.step("trying")
                await check(await self.installed.started(folder, program, config, package))
            before = await self.installed.put(row)
        if before is not None:
            await self.switched(job.name)
            await asyncio.to_thread(remove, self.installed.folder(before))
        return row


@asynccontextmanager
async def open_installs(
    database: Database, installer: PackageInstaller, redactor: Redactor, events: Events, patience: float
) -> AsyncIterator[Installs]:
    installed = await Installed.of(database, installer)
    installs = Installs(installed, installer, redactor, events, patience)
    try:
        yield installs
    finally:
        await installs.close()


async def _nothing() -> None:
    pass

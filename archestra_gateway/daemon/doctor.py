"""What may keep the gateway from working: one function a question, each answered with what to do."""

import asyncio
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import attrs

from archestra_gateway.config import Config
from archestra_gateway.config_sources import ConfigError, load, path_of
from archestra_gateway.daemon import instance, port_holder
from archestra_gateway.daemon.listen import can_listen
from archestra_gateway.packages.settings_npm import npm_settings
from archestra_gateway.packages.settings_pypi import pypi_settings
from archestra_gateway.packages.tools import NODE, UV, Tools
from archestra_gateway.providers.embedded import LIBRARY
from archestra_gateway.sandbox.egress_forward import forward
from archestra_gateway.sandbox.path import SearchPath, find_search_path, not_found
from archestra_gateway.sandbox.trial import INSTALL, Found, find

State = Literal["ok", "warn", "fail"]

PROGRAMS = {"node": NODE, "npm": NODE, "uv": UV, "python3": None}
"""What servers are installed and started with, and the private one that the gateway has or brings."""

OLDEST_SQLITE = (3, 37)
"""The first with STRICT tables."""
LITTLE_SPACE = 100 * 1024 * 1024
OLLAMA_TIMEOUT = 2.0


@attrs.frozen
class Finding:
    """`todo` is empty when there is nothing to do."""

    name: str
    state: State
    says: str
    todo: str = ""

    def __str__(self) -> str:
        line = f"{self.state:<4}  {self.name}: {self.says}"
        return f"{line}\n      → {self.todo}" if self.todo else line


def examine(flags: Mapping[str, Any], path: Path | None, environment: Mapping[str, str]) -> list[Finding]:
    """In the order in which one would ask; a broken configuration ends it, for the rest depends on it."""
    findings = [python(), sqlite(), event_loop()]
    try:
        loaded = load(flags, environment, path)
    except ConfigError as error:
        todo = f"Correct {path_of(path, environment)} or the variable that is named."
        return [*findings, Finding("configuration", "fail", "; ".join(error.problems), todo)]
    config = loaded.config
    where = str(loaded.path) if loaded.found else f"defaults and environment; there is no {loaded.path}"
    findings += [
        Finding("configuration", "ok", where),
        data_directory(config.server.data_dir),
        daemon(config),
    ]
    search = asyncio.run(find_search_path(dict(environment)))
    found = asyncio.run(find(search, config.server.port))
    tools = Tools(config.server.data_dir / "tools", config.install.private_tools)
    findings += [*programs(search, tools), registries(environment, search)]
    return [*findings, ollama(config.llm.ollama.url, search), embedded_model(config), confinement(found)]


def python() -> Finding:
    return Finding("python", "ok", f"{sys.version.split()[0]} at {sys.executable}")


def sqlite() -> Finding:
    if sqlite3.sqlite_version_info >= OLDEST_SQLITE:
        return Finding("sqlite", "ok", sqlite3.sqlite_version)
    todo = "Use a Python that comes with SQLite 3.37 or later."
    return Finding("sqlite", "fail", f"{sqlite3.sqlite_version} is too old", todo)


def event_loop() -> Finding:
    if find_spec("uvloop"):
        return Finding("event loop", "ok", "uvloop")
    return Finding("event loop", "warn", "asyncio's own, which is slower", "pip install uvloop")


def data_directory(path: Path) -> Finding:
    name = "data directory"
    if not path.exists():
        return Finding(name, "ok", f"{path} is made at the first start")
    found = path.stat()
    if not path.is_dir() or found.st_uid != os.geteuid() or not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return Finding(name, "fail", f"{path} is not yours to write", "Choose another with --data-dir.")
    if found.st_mode & 0o077:
        return Finding(name, "warn", f"{path} is open to other users", f"chmod 700 {path}")
    if (free := shutil.disk_usage(path).free) < LITTLE_SPACE:
        return Finding(name, "warn", f"{path} has {free // 1024 // 1024} MiB left", "Make room on that disk.")
    return Finding(name, "ok", str(path))


def daemon(config: Config) -> Finding:
    """Running, or else able to: the port is free."""
    server = config.server
    if found := instance.running(server.data_dir):
        return Finding("daemon", "ok", f"running ({found})")
    if can_listen(server.bind, server.port):
        return Finding("daemon", "ok", f"not running; port {server.port} is free", "archestra-gateway serve")
    holder = port_holder.find(server.port)
    name = f"pid {holder.pid}: {holder.command}" if holder else "another program"
    todo = "Stop it, or choose another port with server.port."
    return Finding("daemon", "fail", f"not running, and port {server.port} is taken by {name}", todo)


def programs(search: SearchPath, tools: Tools) -> Iterator[Finding]:
    """As MCP servers will find them."""
    for command, wheel in PROGRAMS.items():
        if program := search.which(command):
            yield Finding(command, "ok", program)
        elif wheel is not None and (tools.has(wheel) or tools.can_bring):
            yield Finding(command, "ok", tools.says(wheel))
        else:
            yield Finding(command, "warn", "not found", not_found(command, search.folders))


def registries(environment: Mapping[str, str], search: SearchPath) -> Finding:
    """Where servers' packages would come from, by this machine's own settings."""
    home = Path(environment.get("HOME") or Path.home())
    npm = npm_settings(environment, {}, home, search.which("npm"))
    pypi = pypi_settings(environment, {}, home)
    places = [", ".join(sorted(map(str, settings.hosts))) for settings in (npm, pypi)]
    usual = "" if npm.names_registry else "npm's own registry"
    of_npm = " and ".join(filter(None, (usual, places[0])))
    says = f"npm packages from {of_npm or 'files alone'}; Python packages from {places[1] or 'files alone'}"
    try:
        proxy = forward(environment, npm.proxy or pypi.proxy)
    except ValueError as error:
        return Finding(
            "registries", "fail", f"{says}; {error}", "Correct HTTPS_PROXY, or npm's or pip's proxy."
        )
    return Finding("registries", "ok", f"{says}; through {proxy.host}:{proxy.port}" if proxy else says)


def ollama(url: str, search: SearchPath) -> Finding:
    try:
        with build_opener(ProxyHandler({})).open(f"{url}/api/version", timeout=OLLAMA_TIMEOUT):
            return Finding("ollama", "ok", f"answers at {url}")
    except (URLError, OSError, ValueError):
        says = f"does not answer at {url}"
    if program := search.which("ollama"):
        return Finding("ollama", "warn", f"{says}; installed at {program}", "Start it with `ollama serve`.")
    return Finding("ollama", "warn", says, "Install it from https://ollama.com/download to use local models.")


def embedded_model(config: Config) -> Finding:
    name, path = "embedded model", config.embedded_model
    if find_spec(LIBRARY) is None:
        says = f"there is no package {LIBRARY}, so that chats need Ollama or another provider"
        return Finding(name, "warn", says, f"pip install {LIBRARY}")
    if path.is_file():
        return Finding(name, "ok", f"{path}, run by {LIBRARY}")
    if config.llm.embedded.model_path:
        return Finding(name, "fail", f"there is no {path}", "Correct llm.embedded.model_path.")
    return Finding(name, "warn", "not brought yet", "archestra-gateway embedded install")


def confinement(found: Found) -> Finding:
    """Tried, not looked up: what is installed may still be forbidden."""
    if found.mechanism is None:
        todo = f'{INSTALL}; a server with `permissions.sandbox: "off"` runs without.'
        return Finding("sandbox", "fail", f"MCP servers can not be confined: {'; '.join(found.why)}", todo)
    says = f"{found.mechanism.name} confines MCP servers"
    if found.why:
        return Finding("sandbox", "warn", f"{says}; {'; '.join(found.why)}", f"{INSTALL}.")
    return Finding("sandbox", "ok", says)

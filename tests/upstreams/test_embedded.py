"""The embedded model's process: one start for everybody, and an end when nobody calls."""

import asyncio
import importlib.util
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.upstreams.embedded import Embedded
from archestra_gateway.upstreams.http_client import HttpClient
from archestra_gateway.upstreams.watchdog import Watchdog

MODEL = Path(os.environ.get("EMBEDDED_MODEL", "/nowhere.gguf"))

with_model = pytest.mark.skipif(
    not MODEL.is_file() or importlib.util.find_spec("xllamacpp") is None,
    reason="needs xllamacpp, and EMBEDDED_MODEL=/path/to/model.gguf",
)

Make = Callable[[float], Embedded]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    watchdog, http = Watchdog(), HttpClient(1, 5)
    made: list[Embedded] = []

    def build(idle_timeout: float) -> Embedded:
        made.append(Embedded(MODEL, idle_timeout, os.environ, watchdog, http, tmp_path / "embedded.log"))
        return made[-1]

    yield build
    for embedded in made:
        await embedded.stop()
    http.close()
    watchdog.close()


@pytest.mark.skipif(MODEL.is_file(), reason="there is a model")
async def test_one_that_is_not_installed_is_said(make: Make) -> None:
    embedded = make(60)

    assert not embedded.is_available
    with pytest.raises(UpstreamUnavailable, match=r"xllamacpp|embedded install"):
        await embedded.start()


@with_model
async def test_callers_at_the_same_time_share_one_start(make: Make) -> None:
    embedded = make(60)

    started = await asyncio.gather(*(embedded.start() for _ in range(5)))

    assert len({running.process.pid for running in started}) == 1


@with_model
async def test_it_starts_again_after_it_died(make: Make) -> None:
    embedded = make(60)
    first = await embedded.start()
    os.kill(first.process.pid, 9)
    await first.process.wait()

    assert (await embedded.start()).process.pid != first.process.pid


@with_model
async def test_it_ends_when_nobody_calls(make: Make) -> None:
    running = await make(0.1).start()

    async with asyncio.timeout(20):
        assert await running.process.wait() == -9

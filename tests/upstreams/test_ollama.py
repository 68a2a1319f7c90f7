"""`ollama serve` where none runs: one start for everybody, an end to what was started and to nothing else."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.sandbox.path import SearchPath
from archestra_gateway.upstreams.http_client import HttpClient
from archestra_gateway.upstreams.ollama import Ollama
from archestra_gateway.upstreams.origin import Origin
from archestra_gateway.upstreams.watchdog import Watchdog

FAKES = Path(__file__).parent.parent / "fakes"

Make = Callable[..., Ollama]


@pytest.fixture
def origin() -> Origin:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return Origin("http", "127.0.0.1", free.getsockname()[1])


@pytest.fixture
def starts(tmp_path: Path) -> Path:
    return tmp_path / "starts"


@pytest.fixture
async def make(tmp_path: Path, origin: Origin, starts: Path) -> AsyncIterator[Make]:
    watchdog = Watchdog()
    made: list[Ollama] = []

    def build(folders: tuple[str, ...] = (str(FAKES), "/usr/bin", "/bin"), **more: str) -> Ollama:
        async def find_path() -> SearchPath:
            return SearchPath(folders)

        environment = {"OLLAMA_STARTS": str(starts), "OLLAMA_PYTHON": sys.executable, "SECRET": "x", **more}
        made.append(Ollama(origin, find_path, environment, watchdog, tmp_path / "ollama.log"))
        return made[-1]

    yield build
    for ollama in made:
        await ollama.stop()
    watchdog.close()


async def tags(origin: Origin) -> int:
    http = HttpClient(1, 5)
    async with await http.send("GET", origin, "/api/tags", (), b"") as response:
        return response.status


async def test_callers_at_the_same_time_share_one_start(make: Make, origin: Origin, starts: Path) -> None:
    ollama = make()

    await asyncio.gather(*(ollama.start() for _ in range(10)))

    assert await tags(origin) == 200
    assert len(starts.read_text().split()) == 1


async def test_what_was_started_is_stopped(make: Make, origin: Origin, starts: Path) -> None:
    ollama = make()
    await ollama.start()

    await ollama.stop()

    assert not is_alive(int(starts.read_text()))
    with pytest.raises(UpstreamUnavailable):
        await tags(origin)


async def test_what_runs_already_is_left_alone(make: Make, origin: Origin, starts: Path) -> None:
    first, second = make(), make()
    await first.start()

    await second.start()
    await second.stop()

    assert await tags(origin) == 200
    assert len(starts.read_text().split()) == 1


async def test_it_starts_again_after_it_died(make: Make, origin: Origin, starts: Path) -> None:
    ollama = make()
    await ollama.start()
    os.kill(int(starts.read_text()), 9)
    async with asyncio.timeout(5):
        while await is_up(origin):
            await asyncio.sleep(0.01)

    await ollama.start()

    assert await tags(origin) == 200


async def is_up(origin: Origin) -> bool:
    try:
        return await tags(origin) == 200
    except Exception:
        return False


async def test_one_that_is_not_installed_is_said(make: Make) -> None:
    with pytest.raises(
        UpstreamUnavailable, match=r"not on the PATH; install it from https://ollama\.com/download"
    ):
        await make(folders=()).start()


async def test_one_that_ends_at_once_is_said_in_its_own_words(make: Make) -> None:
    with pytest.raises(UpstreamUnavailable, match="ended with exit code 3: Error: no GPU, no fun"):
        await make(OLLAMA_FAKE="broken").start()


async def test_it_gets_its_own_settings_and_no_secrets(make: Make, starts: Path, origin: Origin) -> None:
    await make(OLLAMA_MODELS="/models").start()

    environment = Path(f"/proc/{starts.read_text().strip()}/environ").read_text().split("\0")

    assert "OLLAMA_MODELS=/models" in environment
    assert f"OLLAMA_HOST={origin.authority}" in environment
    assert not [line for line in environment if line.startswith("SECRET")]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

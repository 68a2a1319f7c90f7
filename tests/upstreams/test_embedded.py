"""The embedded model's process: one start for everybody, and an end when nobody calls."""

import asyncio
import importlib.util
import json
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from archestra_gateway.config import EmbeddedConfig
from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.sandbox.command import Launch
from archestra_gateway.sandbox.confine import Sandbox
from archestra_gateway.sandbox.grants import Place
from archestra_gateway.sandbox.part import Part, launch_part
from archestra_gateway.sandbox.path import SearchPath
from archestra_gateway.upstreams.embedded import BUSY_PAUSE, Embedded, Running
from archestra_gateway.upstreams.http_client import HttpClient
from archestra_gateway.upstreams.watchdog import Watchdog

MODEL = Path(os.environ.get("EMBEDDED_MODEL", "/nowhere.gguf"))

with_model = pytest.mark.skipif(
    not MODEL.is_file() or importlib.util.find_spec("xllamacpp") is None,
    reason="needs xllamacpp, and EMBEDDED_MODEL=/path/to/model.gguf",
)

Make = Callable[..., Embedded]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """make(idle_timeout=60, max_tokens=8)"""
    watchdog, http = Watchdog(), HttpClient(1, 60)
    sandbox, search = Sandbox(Place(tmp_path), 1), SearchPath(os.environ["PATH"].split(os.pathsep))
    made: list[Embedded] = []

    def build(**settings: Any) -> Embedded:
        def launch(part: Part) -> Awaitable[Launch]:
            return launch_part(part, sandbox, search, os.environ)

        log = tmp_path / "embedded.log"
        made.append(Embedded(MODEL, EmbeddedConfig(**settings), launch, watchdog, http, log))
        return made[-1]

    yield build
    for embedded in made:
        await embedded.stop()
    http.close()
    watchdog.close()


async def say(running: Running, tokens: int) -> AsyncIterator[bytes]:
    """The pieces of an answer."""
    http = HttpClient(1, 60)
    asked = {"messages": [{"role": "user", "content": "Count"}], "max_tokens": tokens, "stream": True}
    headers = [("Authorization", f"Bearer {running.key}"), ("Content-Type", "application/json")]
    body = json.dumps(asked).encode()
    async with await http.send("POST", running.origin, "/v1/chat/completions", headers, body) as response:
        assert response.status == 200
        async for piece in response:
            yield piece
    http.close()


@pytest.mark.skipif(MODEL.is_file(), reason="there is a model")
async def test_one_that_is_not_installed_is_said(make: Make) -> None:
    embedded = make()

    assert not embedded.is_available
    with pytest.raises(UpstreamUnavailable, match=r"xllamacpp|embedded install"):
        await embedded.start()


@with_model
async def test_callers_at_the_same_time_share_one_start(make: Make) -> None:
    embedded = make()

    started = await asyncio.gather(*(embedded.start() for _ in range(5)))

    assert len({running.process.pid for running in started}) == 1


@with_model
async def test_it_starts_again_after_it_died(make: Make) -> None:
    embedded = make()
    first = await embedded.start()
    os.kill(descendants(first.process.pid)[-1], 9)
    await first.process.wait()

    assert (await embedded.start()).process.pid != first.process.pid


@with_model
async def test_it_ends_when_nobody_calls(make: Make) -> None:
    running = await make(idle_timeout=0.1).start()

    async with asyncio.timeout(20):
        assert await running.process.wait() == -9
        while os.path.exists(running.home):
            await asyncio.sleep(0.02)


@with_model
async def test_a_long_answer_is_no_idleness(make: Make) -> None:
    """With an idle time that is over before the first token."""
    embedded = make(idle_timeout=0.1)
    running = await embedded.start()
    since = asyncio.get_running_loop().time()

    pieces = [piece async for piece in say(running, tokens=40)]

    assert b"[DONE]" in pieces[-1]
    assert asyncio.get_running_loop().time() - since > 2 * BUSY_PAUSE
    async with asyncio.timeout(20):
        assert await running.process.wait() == -9


@with_model
@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
async def test_it_is_confined_and_has_no_network(make: Make) -> None:
    embedded = make()
    running = await embedded.start()

    assert embedded.describe()["sandbox"] == "bubblewrap"
    inside = descendants(running.process.pid)[-1]
    ours = {name: os.readlink(f"/proc/self/ns/{name}") for name in ("net", "pid", "mnt")}
    assert all(os.readlink(f"/proc/{inside}/ns/{name}") != link for name, link in ours.items())
    interfaces = Path(f"/proc/{inside}/net/dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]
    environment = Path(f"/proc/{inside}/environ").read_bytes().split(b"\0")
    names = {line.split(b"=")[0] for line in environment if line}
    assert names <= {b"LANG", b"LANGUAGE", b"TZ", b"HOME", b"PATH", b"PYTHONPATH", b"PWD"}
    assert running.key.encode() not in command(running.process.pid)


def descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [pid, *(each for child in children for each in descendants(child))]


def command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@with_model
async def test_a_rambling_answer_ends(make: Make) -> None:
    running = await make(max_tokens=5).start()

    told = b"".join([piece async for piece in say(running, tokens=-1)])

    assert b'"finish_reason":"length"' in told

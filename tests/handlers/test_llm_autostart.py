"""Ollama that is not running when it is called: started where that is asked for, named where it is not."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from archestra_gateway.config import Config, LlmConfig, OllamaConfig, ServerConfig

FAKES = Path(__file__).parent.parent / "fakes"

Client = TestClient[web.Request, web.Application]


@pytest.fixture
def url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def config(tmp_path: Path, url: str, request: pytest.FixtureRequest) -> Config:
    return Config(
        server=ServerConfig(port=0, data_dir=tmp_path / "data"),
        llm=LlmConfig(ollama=OllamaConfig(url=url, autostart=request.param)),
    )


@pytest.fixture
def starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake `ollama` on the PATH of the daemon-to-be, which writes its pids here."""
    monkeypatch.setenv("PATH", f"{FAKES}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("OLLAMA_STARTS", str(tmp_path / "starts"))
    monkeypatch.setenv("OLLAMA_PYTHON", sys.executable)
    return tmp_path / "starts"


@pytest.mark.parametrize("config", [True], indirect=True)
async def test_the_first_calls_start_it_and_the_stop_ends_it(starts: Path, client: Client) -> None:
    answers = await asyncio.gather(*(client.get("/llm/ollama/api/tags") for _ in range(5)))
    (pid,) = map(int, starts.read_text().split())
    await client.server.close()

    assert [answer.status for answer in answers] == [200] * 5
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIG_DFL)


@pytest.mark.parametrize("config", [False], indirect=True)
async def test_without_autostart_it_is_said_what_to_do(starts: Path, client: Client, url: str) -> None:
    answer = await client.get("/llm/ollama/api/tags")

    assert answer.status == 503
    assert (await answer.json())["error"] == {
        "code": "UPSTREAM_UNAVAILABLE",
        "message": f"Ollama is not running at {url}. "
        "Start it with `ollama serve`, or install it from https://ollama.com/download; "
        "`archestra-gateway embedded install` brings a small model that runs without it",
        "details": {"provider": "ollama"},
    }
    assert not starts.exists()

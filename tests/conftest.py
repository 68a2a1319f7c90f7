"""What every test may ask for: a configuration, an open database, the whole application on a real port."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pytest_aiohttp.plugin import AiohttpClient

from archestra_gateway.app import create_app
from archestra_gateway.config import Config, ServerConfig
from archestra_gateway.store.database import Database, open_database
from archestra_gateway.web.connection import Runner


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(server=ServerConfig(port=0, data_dir=tmp_path / "data"))


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "gateway.db") as opened:
        yield opened


class GatewayServer(TestServer):
    """aiohttp's test server with the connections of the real daemon."""

    async def _make_runner(self, **kwargs: object) -> web.BaseRunner:
        return Runner(self.app)


@pytest.fixture(scope="session")
def model_url() -> Iterator[str]:
    """A scripted model server in Ollama's place."""
    program = Path(__file__).parent / "fakes" / "scripted_model.py"
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.kill()


@pytest.fixture
def app(config: Config) -> web.Application:
    return create_app(config, os.environ)


@pytest.fixture
def serve(aiohttp_client: AiohttpClient) -> Callable[[web.Application], Awaitable[TestClient]]:
    """client = await serve(app)"""
    return lambda app: aiohttp_client(GatewayServer(app))


@pytest.fixture
async def client(
    app: web.Application, serve: Callable[[web.Application], Awaitable[TestClient]]
) -> TestClient:
    return await serve(app)


Browse = Callable[..., Awaitable[tuple[Any, list[str]]]]


@pytest.fixture(scope="session")
def chromium() -> str:
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("needs Chromium")
    return program


@pytest.fixture(scope="session")
def browse(chromium: str) -> Iterator[Browse]:
    """`await browse("chat_stories.mjs", "answered", …)`: what the story gives, and the page's complaints."""
    if shutil.which("node") is None:
        pytest.skip("needs node")
    command = ["node", "browser.mjs", chromium]
    folder = Path(__file__).parent / "node"
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:

        async def browsed(module: str, story: str, **given: Any) -> tuple[Any, list[str]]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps({"module": module, "story": story, **given}) + "\n")
            told = json.loads(await asyncio.to_thread(process.stdout.readline))
            assert "error" not in told, told["error"]
            return told["result"], told["complaints"]

        yield browsed


@pytest.fixture(scope="session")
def registry_process() -> Iterator[str]:
    program = Path(__file__).parent / "fakes" / "mcp_registry.py"
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.kill()


@attrs.frozen
class FakeRegistry:
    """The public MCP registry, with nothing in it."""

    url: str

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/test/{path}", data)
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def publish(self, *servers: dict[str, Any]) -> None:
        self.ask("publish", list(servers))

    def status(self, name: str, status: str) -> None:
        self.ask("status", {"name": name, "status": status})

    def age(self) -> None:
        """A day goes by."""
        self.ask("age", {})

    def misbehave(self, mode: str) -> None:
        self.ask("mode", {"mode": mode})

    def requests(self) -> list[dict[str, str]]:
        """What it was asked since the last time."""
        return list(self.ask("requests"))


@pytest.fixture
def registry(registry_process: str) -> FakeRegistry:
    fake = FakeRegistry(registry_process)
    fake.ask("reset", {})
    return fake


@attrs.frozen
class Far:
    """The fake remote server, as a process on a port."""

    url: str
    process: "subprocess.Popen[str]"

    async def do(self, name: str, **arguments: Any) -> None:
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{self.url}/do", json={"name": name, **arguments}) as answer,
        ):
            assert answer.status == 200, await answer.text()

    async def heard(self, method: str = "") -> list[Any]:
        """What it was asked, in order; of one HTTP or MCP method, if one is named."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/heard") as answer:
            heard = await answer.json()
        return [
            each for each in heard if method in ("", each["method"], (each["message"] or {}).get("method"))
        ]

    async def until(self, method: str, count: int = 1) -> list[Any]:
        async with asyncio.timeout(10):
            while len(heard := await self.heard(method)) < count:
                await asyncio.sleep(0.02)
        return heard


@pytest.fixture
def start_far() -> Iterator[Callable[..., Far]]:
    """far = start_far("--no-stream")"""
    processes: list[subprocess.Popen[str]] = []

    def start(*flags: str) -> Far:
        program = Path(__file__).parent / "fakes" / "remote_mcp_server.py"
        process = subprocess.Popen([sys.executable, str(program), *flags], stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        return Far(f"http://127.0.0.1:{process.stdout.readline().strip()}", process)

    yield start
    for process in processes:
        process.kill()
        process.communicate()

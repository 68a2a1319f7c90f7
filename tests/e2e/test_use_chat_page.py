"""`useChat` in a page in a real browser, of three majors of the AI SDK, with the gateway behind it."""

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from archestra_gateway.app import create_app
from archestra_gateway.config import AgentConfig, Config, LlmConfig, OllamaConfig, ServerConfig

CHILD = Path(__file__).parent.parent / "fakes" / "mcp_child.py"
MAJORS = ("5.0.277", "6.0.325", "7.0.173")

Tell = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def config(tmp_path: Path, model_url: str) -> Config:
    return Config(
        server=ServerConfig(port=0, data_dir=tmp_path / "data"),
        llm=LlmConfig(ollama=OllamaConfig(url=model_url)),
        agent=AgentConfig(titles=False, ping=0.05),
    )


@pytest.fixture
def app(config: Config) -> web.Application:
    return create_app(config, {**os.environ, "SHELL": "/bin/sh"})


@pytest.fixture(params=MAJORS)
async def tell(request: pytest.FixtureRequest, client: TestClient, model_url: str, browse: Any) -> Tell:
    """await tell("answered", model="words", until="Hello") → what the page shows in the end."""
    child = {"transport": "stdio", "command": sys.executable, "args": ["-S", "-E", str(CHILD)]}
    await client.post("/api/mcp_server", json={"name": "fake", "server_config": child})
    gateway = str(client.make_url("")).rstrip("/")

    async def told(story: str, **given: Any) -> dict[str, Any]:
        shown, complaints = await browse(
            "chat_stories.mjs",
            story,
            version=request.param,
            gateway=gateway,
            release=f"{model_url}/release",
            **given,
        )
        assert [each for each in complaints if "404" not in each] == []
        return dict(shown)

    return told


def kinds(shown: dict[str, Any]) -> list[str]:
    return [part["type"] for part in shown["messages"][-1]["parts"] if part["type"] != "step-start"]


@pytest.mark.parametrize(
    ("model", "until", "parts"),
    [
        ("words", "Hello from the script.", ["text"]),
        ("thinks", "Done.", ["reasoning", "text"]),
        ("echoes", "The tool said: ping", ["reasoning", "dynamic-tool", "text"]),
    ],
)
async def test_a_page_shows_an_answer(tell: Tell, model: str, until: str, parts: list[str]) -> None:
    shown = await tell("answered", model=model, until=until)

    assert (shown["status"], shown.get("error"), kinds(shown)) == ("ready", None, parts)


async def test_a_reloaded_page_goes_on_with_the_answer(tell: Tell) -> None:
    shown = await tell("reloaded", model="waits", until="one two three")

    assert shown["status"] == "ready"

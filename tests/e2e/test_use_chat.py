"""The AI SDK's own chat of several versions, with the gateway behind it."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from archestra_gateway.app import create_app
from archestra_gateway.config import AgentConfig, Config, LlmConfig, OllamaConfig, ServerConfig

NODE = Path(__file__).parent.parent / "node"
CHILD = Path(__file__).parent.parent / "fakes" / "mcp_child.py"
VERSIONS = ("5.0.0", "5.0.216", "5.0.277", "6.0.325", "7.0.173")
WITH_APPROVAL = ("6.0.325", "7.0.173")

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")


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


@pytest.fixture
def tell(client: TestClient, model_url: str) -> Any:
    """await tell("5.0.0", "words") → what the page shows in the end."""

    async def told(version: str, story: str) -> dict[str, Any]:
        child = {"transport": "stdio", "command": sys.executable, "args": ["-S", "-E", str(CHILD)]}
        await client.post("/api/mcp_server", json={"name": "fake", "server_config": child})
        url = str(client.make_url("")).rstrip("/")
        process = await asyncio.create_subprocess_exec(
            *("node", "use_chat.mjs", version, url, story, f"{model_url}/release"),
            cwd=NODE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complaints = await process.communicate()
        assert process.returncode == 0, complaints.decode()
        return dict(json.loads(said))

    return told


def kinds(shown: dict[str, Any]) -> list[str]:
    return [part["type"] for part in shown["messages"][-1]["parts"] if part["type"] != "step-start"]


def text(shown: dict[str, Any]) -> str:
    return "".join(part["text"] for part in shown["messages"][-1]["parts"] if part["type"] == "text")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("story", "said", "parts"),
    [
        ("words", "Hello from the script.", ["text"]),
        ("thinks", "Done.", ["reasoning", "text"]),
        ("echoes", "The tool said: ping", ["reasoning", "dynamic-tool", "text"]),
        ("no-tools", "Hello from the script.", ["data-notice", "text"]),
        ("regenerate", "Hello from the script.", ["text"]),
        ("edit", "Hello from the script.", ["text"]),
        ("client-tool", "The tool said: because", ["tool-ask_user", "text"]),
        ("approval", "The tool said: ping", ["reasoning", "dynamic-tool", "data-approval", "text"]),
        ("stop", "Wait", ["text"]),
        ("resume", "one two three", ["text"]),
    ],
)
async def test_a_page_shows(tell: Any, version: str, story: str, said: str, parts: list[str]) -> None:
    shown = await tell(version, story)

    assert (shown["status"], shown.get("error")) == ("ready", None)
    assert [message["role"] for message in shown["messages"]] == ["user", "assistant"]
    assert (text(shown), kinds(shown)) == (said, parts)
    assert shown["messages"][1]["metadata"]["provider"] == "ollama"


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_page_keeps_the_seals_of_thoughts(tell: Any, version: str) -> None:
    shown = await tell(version, "sealed")

    assert (shown["status"], text(shown)) == ("ready", "The tool said: ping")
    thoughts = [part for part in shown["messages"][1]["parts"] if part["type"] == "reasoning"]
    assert [part["providerMetadata"]["anthropic"] for part in thoughts[:2]] == [
        {"signature": "signed"},
        {"redactedData": "c2VjcmV0"},
    ]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_page_shows_a_failed_call(tell: Any, version: str) -> None:
    shown = await tell(version, "crash-tool")

    assert shown["status"] == "ready"
    [call] = [part for part in shown["messages"][1]["parts"] if part["type"] == "dynamic-tool"]
    assert call["state"] == "output-error"


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_page_shows_an_error_and_what_came_before(tell: Any, version: str) -> None:
    shown = await tell(version, "broken")

    assert (shown["status"], shown["error"], text(shown)) == ("error", "the runner died", "Half")


@pytest.mark.parametrize("version", VERSIONS[1:])  # 5.0.0 waits for ever by itself after a 204
async def test_a_page_finds_nothing_to_resume(tell: Any, version: str) -> None:
    shown = await tell(version, "idle")

    assert (shown["status"], shown["messages"]) == ("ready", [])


@pytest.mark.parametrize("version", WITH_APPROVAL)
async def test_a_newer_page_asks_in_its_own_way(tell: Any, version: str) -> None:
    shown = await tell(version, "native-approval")

    assert (shown["status"], text(shown)) == ("ready", "The tool said: ping")


async def test_what_a_page_shows_is_what_is_kept(client: TestClient, tell: Any) -> None:
    shown = await tell("7.0.173", "echoes")

    kept = await (await client.get("/api/agent/chat/c1")).json()
    assert kept["messages"][1]["id"] == shown["messages"][1]["id"]
    assert [part["type"] for part in kept["messages"][1]["parts"]] == [
        part["type"] for part in shown["messages"][1]["parts"]
    ]

"""`useChat` in a page in a real browser, of three majors of the AI SDK, with the gateway behind it."""

import asyncio
import json
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
WITH_APPROVAL = MAJORS[1:]
ASK_USER = {"name": "ask_user", "description": "Ask", "inputSchema": {"type": "object"}}
NEW_CHAT = "Failed to load resource: the server responded with a status of 404 (Not Found)"

Tell = Callable[..., Awaitable[Any]]


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
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def tell(version: str, client: TestClient, model_url: str, browse: Any) -> Tell:
    """await tell("answered", model="words", until="Hello") → what the page shows in the end."""
    child = {"transport": "stdio", "command": sys.executable, "args": ["-S", "-E", str(CHILD)]}
    await client.post("/api/mcp_server", json={"name": "fake", "server_config": child})
    gateway = str(client.make_url("")).rstrip("/")

    async def told(story: str, *, complaints: tuple[str, ...] = (), **given: Any) -> Any:
        shown, said = await browse(
            *("chat_stories.mjs", story),
            **{"version": version, "gateway": gateway, "release": f"{model_url}/release", **given},
        )
        assert [each for each in said if each not in (NEW_CHAT, *complaints)] == []
        return shown

    return told


@pytest.fixture
async def ask(client: TestClient) -> None:
    """Every call of the tools of `fake` needs a yes."""
    answer = await client.put("/api/agent/permission", json={"server_name": "fake", "decision": "ask"})
    assert answer.status == 200


def kinds(shown: dict[str, Any]) -> list[str]:
    return [part["type"] for part in shown["messages"][-1]["parts"] if part["type"] != "step-start"]


def is_well(shown: dict[str, Any]) -> bool:
    roles = [message["role"] for message in shown["messages"]]
    return (shown["status"], shown.get("error"), roles) == ("ready", None, ["user", "assistant"])


@pytest.mark.parametrize(
    ("model", "until", "parts"),
    [
        ("words", "Hello from the script.", ["text"]),
        ("thinks", "Done.", ["reasoning", "text"]),
        ("echoes", "The tool said: ping", ["reasoning", "dynamic-tool", "text"]),
        ("crash-tool", "The tool said: ", ["dynamic-tool", "text"]),
        ("no-tools", "Hello from the script.", ["data-notice", "text"]),
    ],
)
async def test_a_page_shows_an_answer(tell: Tell, model: str, until: str, parts: list[str]) -> None:
    shown = await tell("answered", model=model, until=until)

    assert is_well(shown)
    assert kinds(shown) == parts
    assert shown["messages"][1]["metadata"]["usage"]["total_tokens"] >= 10


@pytest.mark.parametrize(
    ("button", "said"), [("Result", "because"), ("Output", "because"), ("Failure", "no idea")]
)
async def test_a_page_has_tools_of_its_own(tell: Tell, button: str, said: str) -> None:
    shown = await tell(
        "answered",
        model="client-tool",
        body={"tools": [ASK_USER]},
        buttons=[button],
        until=f"The tool said: {said}",
    )

    assert is_well(shown)
    assert kinds(shown) == ["tool-ask_user", "text"]


async def test_a_page_keeps_the_seals_of_thoughts(client: TestClient, tell: Tell, model_url: str) -> None:
    wanted = {"name": "claude", "kind": "anthropic", "base_url": model_url}
    await client.post("/api/llm_provider", json=wanted)
    own = {"name": "fake__echo", "description": "Echo", "inputSchema": {"type": "object"}}

    shown = await tell(
        "answered",
        model="old",
        body={"provider": "claude", "thinking": True, "tools": [own]},
        buttons=["Output"],
        until="The tool said: because",
    )

    assert is_well(shown)
    async with client.session.get(f"{model_url}/asked") as answer:
        [content] = [message["content"] for message in (await answer.json())[-1]["messages"][1:2]]
    assert [block["type"] for block in content] == ["thinking", "redacted_thinking", "tool_use"]


async def test_a_tool_of_the_page_waits_through_a_reload(tell: Tell) -> None:
    shown = await tell(
        "reloaded",
        model="client-tool",
        body={"tools": [ASK_USER]},
        seen="Why?",
        buttons=["Output"],
        until="The tool said: because",
    )

    assert is_well(shown)
    assert kinds(shown) == ["tool-ask_user", "text"]


@pytest.mark.usefixtures("ask")
@pytest.mark.parametrize(
    ("button", "state", "said"),
    [("Allow", "allowed", "ping"), ("Deny", "denied", "The user did not allow this call")],
)
async def test_a_person_is_asked(tell: Tell, button: str, state: str, said: str) -> None:
    shown = await tell("answered", model="echoes", buttons=[button], until=f"The tool said: {said}")

    assert is_well(shown)
    assert kinds(shown) == ["reasoning", "dynamic-tool", "data-approval", "text"]
    assert shown["messages"][1]["parts"][3]["data"]["state"] == state


@pytest.mark.usefixtures("ask")
async def test_a_question_is_there_after_a_reload(tell: Tell) -> None:
    shown = await tell(
        "reloaded", model="echoes", seen="May it call echo?", buttons=["Allow"], until="The tool said: ping"
    )

    assert is_well(shown)


@pytest.mark.usefixtures("ask")
@pytest.mark.parametrize("version", WITH_APPROVAL, indirect=True)
@pytest.mark.parametrize("story", ["answered", "reloaded"])
@pytest.mark.parametrize(
    ("button", "said"), [("Allow", "ping"), ("Deny", "The user did not allow this call")]
)
async def test_a_newer_page_asks_in_its_own_way(
    tell: Tell, version: str, story: str, button: str, said: str
) -> None:
    shown = await tell(
        story,
        model="echoes",
        body={"sdk_version": int(version[0])},
        seen="May it?",
        buttons=[button],
        until=f"The tool said: {said}",
    )

    assert is_well(shown)
    assert kinds(shown) == ["reasoning", "dynamic-tool", "text"]


async def test_a_stop_keeps_what_came(tell: Tell) -> None:
    shown = await tell("stopped", model="stalls")

    assert is_well(shown)
    assert shown["messages"][1]["parts"][-1]["text"] == "Wait"
    assert shown["messages"][1]["metadata"]["finish_reason"] == "stopped"


async def test_an_answer_is_made_again(tell: Tell) -> None:
    assert is_well(await tell("answered again", model="words", until="Hello from the script."))


@pytest.mark.parametrize("story", ["reloaded", "left and loaded again"])
async def test_a_page_that_is_loaded_again_has_the_whole_answer(tell: Tell, story: str) -> None:
    shown = await tell(story, model="waits", seen="two", until="one two three")

    assert is_well(shown)
    assert [part["text"] for part in shown["messages"][1]["parts"][1:]] == ["one two three"]


@pytest.mark.parametrize(
    ("story", "model", "until"),
    [("seen twice", "waits", "one two three"), ("stopped elsewhere", "stalls", "")],
)
async def test_two_tabs_show_the_same(tell: Tell, story: str, model: str, until: str) -> None:
    shown = await tell(story, model=model, until=until)

    assert is_well(shown["one"])
    assert shown["one"] == shown["other"]


async def test_a_broken_answer_is_an_error_below_what_came(tell: Tell) -> None:
    shown = await tell("answered", model="error-line", until="the runner died")

    assert (shown["status"], shown["error"]) == ("error", "the runner died")
    assert shown["messages"][1]["parts"][-1]["text"] == "Half"
    assert shown["messages"][1]["metadata"]["error"] == "the runner died"


async def test_what_is_refused_is_an_error_with_its_envelope(tell: Tell) -> None:
    refused = "Failed to load resource: the server responded with a status of 404 (Not Found)"
    shown = await tell(
        "answered", model="words", body={"provider": "nobody"}, until="not found", complaints=(refused,)
    )

    assert shown["status"] == "error"
    assert json.loads(shown["error"])["error"]["code"] == "RESOURCE_NOT_FOUND"


async def test_a_second_message_to_a_running_chat_is_a_conflict(tell: Tell) -> None:
    refused = "Failed to load resource: the server responded with a status of 409 (Conflict)"
    shown = await tell("said twice", model="stalls", complaints=(refused,))

    assert json.loads(shown["error"])["error"]["code"] == "CONFLICT"


async def test_the_gateways_stop_is_an_error_on_the_page(client: TestClient, tell: Tell) -> None:
    async def stop() -> None:
        while (await (await client.get("/api/agent/chat")).json())["total"] == 0:
            await asyncio.sleep(0.05)
        await client.server.close()

    stopping = asyncio.create_task(stop())
    shown = await tell("answered", model="stalls", until="The gateway is stopping")
    await stopping

    assert shown["status"] == "error"


@pytest.mark.parametrize("version", MAJORS[-1:], indirect=True)
async def test_a_plain_reader_listens_to_names(tell: Tell) -> None:
    body = {"id": "c1", "model": "waits", "tools": [], "messages": [{"role": "user", "content": "Hi"}]}

    heard = await tell("read by names", body=body)

    spoken = [each for each in heard if each["name"] != "ping"]
    assert [each["name"] for each in spoken] == ["message_start", *["content_delta"] * 3]
    assert "".join(each["delta"] for each in spoken[1:]) == "one two three"
    assert [each["number"] for each in spoken] == [1, 4, 5, 6]

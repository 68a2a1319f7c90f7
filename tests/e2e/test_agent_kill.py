"""What is left of an answer when the daemon is killed in the middle of it."""

import asyncio
import json
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any

import pytest

CHAT = "/api/agent/chat"
MOST_LOST = 0.25
"""Seconds: a pause of the writer, one write, and what a busy machine adds."""


def body(model: str, messages: list[Any] | None = None) -> dict[str, Any]:
    asked = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
    return {"id": "c1", "messages": messages or [asked], "model": model, "tools": []}


def deltas(answer: HTTPResponse) -> Iterator[str]:
    while line := answer.readline():
        if line.startswith(b"data: {"):
            chunk = json.loads(line[6:])
            if chunk["type"] == "text-delta":
                yield chunk["delta"]


def chat(daemon: Any) -> dict[str, Any]:
    with daemon.request(f"{CHAT}/c1") as answer:
        return dict(json.loads(answer.read()))


@pytest.fixture
def environment(environment: dict[str, str], model_url: str) -> dict[str, str]:
    environment["ARCHESTRA_LLM_OLLAMA_URL"] = model_url
    environment["ARCHESTRA_AGENT_TITLES"] = "false"
    environment["SHELL"] = "/bin/sh"
    return environment


def test_a_killed_answer_is_kept_as_far_as_it_came_and_goes_on(start: Any) -> None:
    daemon = start()
    seen: list[tuple[float, str]] = []
    with daemon.request(CHAT, body("long:0.005")) as answer:
        for delta in deltas(answer):
            seen.append((time.monotonic(), delta))
            if len(seen) == 120:
                break
        killed = time.monotonic()
        daemon.process.kill()

    again = start()
    kept = chat(again)

    assert (kept["last_run"], kept["is_running"]) == ("broken", False)
    message = kept["messages"][1]
    text = message["parts"][-1]
    assert text["state"] == "done"
    sure = "".join(delta for moment, delta in seen if moment < killed - MOST_LOST)
    assert len(sure) > 100
    assert text["text"].startswith(sure)
    assert message["metadata"]["finish_reason"] == "interrupted"
    with again.request(f"{CHAT}/c1/stream") as nothing:
        assert nothing.status == 204
    with again.request(CHAT, body("words", kept["messages"])) as answer:
        lines = answer.read().decode().splitlines()
    assert json.loads(lines[2][6:])["messageId"] == message["id"]
    gone_on = chat(again)["messages"]
    assert [each["role"] for each in gone_on] == ["user", "assistant"]
    texts = [part["text"] for part in gone_on[1]["parts"] if part["type"] == "text"]
    assert texts == [text["text"], "Hello from the script."]
    assert gone_on[1]["metadata"]["finish_reason"] == "stop"


@pytest.mark.parametrize("version", ["5.0.277", "6.0.325", "7.0.173"])
async def test_a_page_outlives_a_killed_daemon(start: Any, browse: Any, model_url: str, version: str) -> None:
    daemon = start()
    given = {
        "version": version,
        "gateway": f"http://127.0.0.1:{daemon.port}",
        "pid": daemon.process.pid,
        "release": f"{model_url}/release",
        "model": "waits",
        "until": "one two three",
    }

    telling = asyncio.create_task(browse("chat_stories.mjs", "outlived", **given))
    while daemon.process.poll() is None and not telling.done():
        await asyncio.sleep(0.01)
    if not telling.done():
        start(port=daemon.port)
    shown, _ = await telling

    assert (shown["status"], shown["again"]["status"]) == ("error", "ready")
    message = shown["kept"]["messages"][1]
    assert message["metadata"]["finish_reason"] == "interrupted"
    assert "one two ".startswith("".join(part.get("text", "") for part in message["parts"]))
    assert len(shown["again"]["messages"]) == 2


def test_a_stop_of_the_daemon_keeps_what_came(start: Any) -> None:
    daemon = start()
    with daemon.request(CHAT, body("stalls")) as answer:
        assert next(deltas(answer)) == "Wait"
        code, _, errors = daemon.end()
        rest = answer.read().decode()

    assert code == 0
    assert "Traceback" not in errors
    assert "The gateway is stopping" in rest
    kept = chat(start())
    assert kept["last_run"] == "broken"
    assert kept["messages"][1]["parts"][-1] == {"type": "text", "text": "Wait", "state": "done"}

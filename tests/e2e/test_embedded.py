"""The embedded model as it is, where it is installed: EMBEDDED_MODEL=/path/to/model.gguf runs this."""

import importlib.util
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

MODEL = os.environ.get("EMBEDDED_MODEL", "")

pytestmark = pytest.mark.skipif(
    not os.path.isfile(MODEL) or importlib.util.find_spec("xllamacpp") is None,
    reason="needs xllamacpp, and EMBEDDED_MODEL=/path/to/model.gguf",
)


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    environment["ARCHESTRA_LLM_OLLAMA_URL"] = "http://127.0.0.1:9"
    environment["ARCHESTRA_LLM_EMBEDDED_MODEL_PATH"] = MODEL
    environment["ARCHESTRA_LLM_EMBEDDED_MAX_TOKENS"] = "24"
    environment["SHELL"] = "/bin/sh"
    return environment


def ask(daemon: Any) -> Any:
    return daemon.request("/api/agent/chat", {"messages": [{"role": "user", "content": "Say hello."}]})


def section(daemon: Any) -> dict[str, Any]:
    with daemon.request("/api/status") as answer:
        return dict(json.loads(answer.read())["sections"]["embedded"])


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in descendants(int(child)))]


def test_a_chat_is_answered_without_ollama_and_ends(start: Any) -> None:
    daemon = start()

    with ask(daemon) as answer:
        lines = answer.read().decode().splitlines()

    assert any('"provider":"embedded"' in line for line in lines)
    assert "event: content_delta" in lines
    assert "event: message_complete" in lines
    assert any('"finish_reason":"' in line for line in lines)
    assert section(daemon)["problem"] is None
    assert daemon.end(signal.SIGTERM)[0] == 0


def test_the_demonstration_model_says_what_it_is(start: Any, environment: dict[str, str]) -> None:
    del environment["ARCHESTRA_LLM_EMBEDDED_MODEL_PATH"]
    models = Path(environment["ARCHESTRA_SERVER_DATA_DIR"]) / "models"
    models.mkdir(mode=0o700, parents=True)
    models.parent.chmod(0o700)
    (models / "SmolLM2-135M-Instruct.Q4_1.gguf").symlink_to(MODEL)

    with ask(start()) as answer:
        told = answer.read().decode()

    assert "a small demonstration model without tools" in told
    assert "event: content_delta" in told
    assert "event: message_complete" in told


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_daemon_leaves_no_model_behind(start: Any) -> None:
    daemon = start()
    with ask(daemon) as answer:
        while b"content_delta" not in answer.readline():
            pass
        model = descendants(section(daemon)["pid"])
        daemon.process.kill()

    deadline = time.monotonic() + 20
    while left := [pid for pid in model if Path(f"/proc/{pid}/exe").exists()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_doctor_knows_the_model(run: Any) -> None:
    findings = json.loads(run("doctor", "--json").stdout)

    [model] = [finding for finding in findings if finding["name"] == "embedded model"]
    assert (model["state"], model["says"]) == ("ok", f"{MODEL}, run by xllamacpp")

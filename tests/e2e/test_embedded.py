"""The embedded model as it is, where it is installed: EMBEDDED_MODEL=/path/to/model.gguf runs this."""

import importlib.util
import os
import signal
from typing import Any

import pytest

MODEL = os.environ.get("EMBEDDED_MODEL", "")

pytestmark = pytest.mark.skipif(
    not os.path.isfile(MODEL) or importlib.util.find_spec("xllamacpp") is None,
    reason="needs xllamacpp, and EMBEDDED_MODEL=/path/to/model.gguf",
)


def test_a_chat_is_answered_without_ollama(start: Any, environment: dict[str, str]) -> None:
    environment["ARCHESTRA_LLM_OLLAMA_URL"] = "http://127.0.0.1:9"
    environment["ARCHESTRA_LLM_EMBEDDED_MODEL_PATH"] = MODEL
    daemon = start()
    asked = {"messages": [{"role": "user", "content": "Say hello."}]}

    with daemon.request("/api/agent/chat", asked) as answer:
        lines = [answer.readline().decode() for _ in range(40)]

    assert any('"provider":"embedded"' in line for line in lines)
    assert "event: content_delta\n" in lines
    daemon.end(signal.SIGTERM)

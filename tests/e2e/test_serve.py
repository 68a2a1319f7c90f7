"""The README's first command where the small model can not be brought."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """Stands for an environment that is set up: this one, by way of scripts."""
    folder = tmp_path / "venv"
    (folder / "bin").mkdir(parents=True)
    for name, command in (
        ("python", sys.executable),
        ("archestra-gateway", f"{shlex.quote(sys.executable)} -m archestra_gateway"),
    ):
        (folder / "bin" / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (folder / "bin" / name).chmod(0o755)
    (folder / "installed").touch()
    return folder


@pytest.mark.skipif(shutil.which("ollama") is not None, reason="no model is brought where Ollama is")
def test_a_gateway_without_the_model_starts_and_says_what_to_do(
    venv: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    unreachable = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    no_ollama = {"ARCHESTRA_LLM_OLLAMA_URL": "http://127.0.0.1:9"}
    with subprocess.Popen(
        ["scripts/serve", "--port", "0"],
        cwd=ROOT,
        env={**environment, **unreachable, **no_ollama, "VENV": str(venv)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        listening: dict[str, Any] = json.loads(process.stdout.readline())["listening"]
        asked = json.dumps({"messages": [{"role": "user", "content": "Hi"}]}).encode()
        request = Request(
            f"http://127.0.0.1:{listening['port']}/api/agent/chat",
            asked,
            {"Content-Type": "application/json"},
        )
        with urlopen(request) as answer:
            told = answer.read().decode()
        os.killpg(process.pid, signal.SIGTERM)
        said = process.communicate(timeout=30)[1]

    assert process.returncode == 0
    assert "There is no small model, then (what went wrong is above); the gateway starts without it." in said
    assert "start scripts/serve again" in said
    assert "event: error" in told
    assert "ollama serve" in told
    assert "embedded install" in told

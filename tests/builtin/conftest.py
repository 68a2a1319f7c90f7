"""The filesystem server as its users have it: a child process that is spoken to by lines."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


class Child:
    """A running server, and a client that waits for each answer."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "archestra_gateway.builtin.filesystem", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def send(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        self.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode())
        return self.receive()

    def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        result: dict[str, Any] = self.request("tools/call", name=name, arguments=arguments)["result"]
        return result

    def read(self, name: str, **arguments: Any) -> str:
        """The text of a call that succeeds."""
        result = self.call(name, **arguments)
        assert "isError" not in result, result
        return str(result["content"][0]["text"])

    def refusal(self, name: str, **arguments: Any) -> str:
        """The sentence of a call that fails."""
        result = self.call(name, **arguments)
        assert result["isError"] is True
        return str(result["content"][0]["text"])


@pytest.fixture
def start() -> Iterator[Callable[..., Child]]:
    children: list[Child] = []

    def started(*arguments: str) -> Child:
        children.append(Child(*arguments))
        return children[-1]

    yield started
    for child in children:
        child.process.communicate(timeout=10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that the server may write in; beside it lies a secret."""
    (tmp_path / "secret.txt").write_text("secret")
    path = tmp_path / "folder"
    path.mkdir()
    return path


@pytest.fixture
def child(start: Callable[..., Child], folder: Path) -> Child:
    return start("--read-write", str(folder))

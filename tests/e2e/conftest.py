"""The daemon as a process, as a person or a desktop shell starts it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import attrs
import pytest

ROOT = Path(__file__).parent.parent.parent
COMMAND = (sys.executable, "-m", "archestra_gateway")


@attrs.frozen
class Daemon:
    process: subprocess.Popen[str]
    listening: dict[str, Any]

    @property
    def port(self) -> int:
        port: int = self.listening["port"]
        return port

    def status_of(self, path: str, host: str = "127.0.0.1") -> int:
        with self.request(path, host=host) as answer:
            return answer.status

    @contextmanager
    def request(
        self, path: str, body: Any = None, host: str = "127.0.0.1", **headers: str
    ) -> Iterator[HTTPResponse]:
        """The answer, its body still to be read. A body makes it a POST; `X_Name` is the header X-Name."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(HTTPConnection(host, self.port, timeout=20)) as connection:
            if body is None:
                connection.request("GET", path, headers=sent)
            else:
                connection.request(
                    "POST", path, json.dumps(body), {"Content-Type": "application/json", **sent}
                )
            with connection.getresponse() as answer:
                yield answer

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Exit code, and what it wrote to stdout and stderr since it listens."""
        self.process.send_signal(number)
        output, errors = self.process.communicate(timeout=20)
        return self.process.returncode, output, errors


Start = Callable[..., Daemon]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    ours = {
        name: value for name, value in os.environ.items() if not name.startswith(("ARCHESTRA_", "OLLAMA_"))
    }
    return {
        **ours,
        "ARCHESTRA_SERVER_DATA_DIR": str(tmp_path / "data"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "ARCHESTRA_MCP_ALLOW_ROOT": "true",  # some fakes run without the sandbox, to leave files for the test
    }


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """A command that ends by itself."""

    def run_command(*words: str, timeout: float = 30) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COMMAND, *words],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run_command


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Start]:
    """A daemon that listens; without a port it finds its own."""
    with ExitStack() as ends:

        def start_daemon(
            *words: str, port: int | None = 0, before: tuple[str, ...] = (), **options: Any
        ) -> Daemon:
            flag = () if port is None else ("--port", str(port))
            process = subprocess.Popen(
                [*before, *COMMAND, "serve", *flag, *words],
                env=environment,
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                **options,
            )
            ends.callback(_finish, process)
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            return Daemon(process, json.loads(line)["listening"])

        yield start_daemon


@pytest.fixture
def provider(environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """An LLM provider in Ollama's place for the daemons started after it."""
    program = ROOT / "tests" / "fakes" / "llm_provider.py"
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        environment["ARCHESTRA_LLM_OLLAMA_URL"] = f"http://127.0.0.1:{process.stdout.readline().split()[-1]}"
        yield process
        process.kill()


def _finish(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()

"""Well-known servers, brought from npm's and PyPI's registries (or this machine's own), and used confined."""

import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs
import pytest

ROOT = Path(__file__).parent.parent.parent
SERVERS: dict[str, tuple[str, list[str]]] = {
    "filesystem": ("npx", ["-y", "@modelcontextprotocol/server-filesystem"]),
    "everything": ("npx", ["-y", "@modelcontextprotocol/server-everything"]),
    "time": ("uvx", ["mcp-server-time"]),
    "git": ("uvx", ["mcp-server-git"]),
    "fetch": ("pipx", ["run", "mcp-server-fetch", "--allow-private-ips"]),
}
ENV = {
    "git": {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"},
}
"""Below a daemon that is root, a server is another user than the repository's."""

pytestmark = [
    pytest.mark.skipif(not all(map(shutil.which, ("bwrap", "npm"))), reason="needs bubblewrap and npm"),
    pytest.mark.timeout(900),
]


@attrs.frozen
class Gateway:
    """gateway.ask("/api/mcp_server/time", method="DELETE")"""

    url: str
    folder: Path

    def ask(self, path: str, body: Any = None, method: str | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        request.method = method or ("GET" if data is None else "POST")
        with urllib.request.urlopen(request, timeout=200) as answer:
            text = answer.read().decode()
        return json.loads(text) if text[:1] in ("{", "[") else text

    def call(self, server: str, tool: str, **arguments: Any) -> tuple[bool, str]:
        """Whether it went well, and what was said."""
        params = {"name": tool, "arguments": arguments}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        answer = self.ask(f"/mcp_proxy/{server}", message)
        if "error" in answer:
            return False, answer["error"]["message"]
        result = answer["result"]
        return not result.get("isError"), "".join(part.get("text", "") for part in result["content"])

    def grant(self, server: str, **permissions: Any) -> None:
        self.ask(f"/api/mcp_server/{server}", {"permissions": permissions}, "PUT")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """With all five, installed at once."""
    folder = tmp_path_factory.mktemp("gateway")
    shared = folder / "shared"
    shared.mkdir(mode=0o755)
    for place in (folder.parent, folder):
        place.chmod(0o755)
    ours = {name: value for name, value in os.environ.items() if not name.startswith("ARCHESTRA_")}
    command = [sys.executable, "-m", "archestra_gateway", "serve", "--port", "0"]
    with subprocess.Popen(
        [*command, "--data-dir", str(folder / "data")],
        env={**ours, "SHELL": "/bin/sh", "XDG_CONFIG_HOME": str(folder / "config")},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        gateway = Gateway(json.loads(process.stdout.readline())["listening"]["url"], shared)
        try:
            install(gateway)
            yield gateway
        finally:
            process.terminate()


def install(gateway: Gateway) -> None:
    for name, (command, args) in SERVERS.items():
        folders = [str(gateway.folder)] if name == "filesystem" else []
        config = {
            "transport": "stdio",
            "command": command,
            "args": [*args, *folders],
            "env": ENV.get(name, {}),
        }
        wanted = {"name": name, "server_config": config, "permissions": {"read_only": folders}}
        gateway.ask("/api/mcp_server", wanted)
        gateway.ask(f"/api/mcp_server/{name}/install", {})
    for name in SERVERS:
        events = gateway.ask(f"/api/mcp_server/{name}/install?follow=1")
        if "event: done" not in events and any(
            word in events
            for word in (
                "ENOTFOUND",
                "EAI_AGAIN",
                "dns error",
                "can not be reached",
                "No matching distribution",
            )
        ):
            pytest.skip("needs the registries of npm and PyPI")
        assert "event: done" in events, events[-3000:]


@pytest.mark.parametrize("name", SERVERS)
def test_each_is_pinned_with_hashes_and_runs_confined(gateway: Gateway, name: str) -> None:
    shown = gateway.ask(f"/api/mcp_server/{name}/install")
    tools = gateway.ask(f"/api/mcp_server/{name}/tools")["tools"]
    status = gateway.ask(f"/api/mcp_server/{name}")["status"]

    assert shown["state"] == "installed"
    assert shown["version"][0].isdigit()
    assert all(package["hashes"] for package in shown["packages"])
    assert len(tools) > 0
    assert (status["state"], status["sandbox"]) == ("running", "bubblewrap")


def test_files_are_read_where_a_folder_is_granted(gateway: Gateway) -> None:
    (gateway.folder / "note.txt").write_text("for your eyes")

    well, text = gateway.call("filesystem", "read_text_file", path=str(gateway.folder / "note.txt"))
    denied, _ = gateway.call("filesystem", "read_text_file", path="/etc/hostname")
    written, _ = gateway.call("filesystem", "write_file", path=str(gateway.folder / "new"), content="x")

    assert (well, text) == (True, "for your eyes")
    assert (denied, written) == (False, False)


def test_a_server_sees_no_environment_but_its_own(gateway: Gateway) -> None:
    assert gateway.call("everything", "echo", message="hello") == (True, "Echo: hello")

    well, text = gateway.call("everything", "get-env")

    assert well
    env = json.loads(text)
    assert env["HOME"] == "/home/mcp"
    assert not {name for name in env if name.lower().startswith(("npm_", "pip_", "uv_", "http"))}


def test_the_time_is_told_without_a_network(gateway: Gateway) -> None:
    well, text = gateway.call("time", "get_current_time", timezone="Europe/Berlin")

    assert well, text
    assert json.loads(text)["timezone"] == "Europe/Berlin"


def test_git_works_on_a_granted_folder(gateway: Gateway) -> None:
    repository = gateway.folder / "repository"
    git = ("git", "-C", str(repository), "-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    repository.mkdir(mode=0o755)
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "The first of all"], check=True)
    refused, _ = gateway.call("git", "git_log", repo_path=str(repository))

    gateway.grant("git", read_only=[str(repository)])
    well, text = gateway.call("git", "git_log", repo_path=str(repository))

    assert not refused
    assert well, text
    assert "The first of all" in text


def test_a_page_is_fetched_when_its_host_is_granted(gateway: Gateway, page: str) -> None:
    refused, words = gateway.call("fetch", "fetch", url=page)
    gateway.grant("fetch", hosts=[page.split("/")[2]])
    well, text = gateway.call("fetch", "fetch", url=page)
    gateway.grant("fetch")

    assert not refused
    assert "connection issue" in words, words
    assert well, text
    assert "The page of the test" in text


@pytest.fixture
def page(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "page.html").write_text("<html><body><p>The page of the test</p></body></html>")
    handler: Callable[..., Any] = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/page.html"
        server.shutdown()

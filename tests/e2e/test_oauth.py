"""Logins at a real authorization server for a real protected server, in a daemon that is killed often."""

import contextlib
import json
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from html import unescape
from http.client import HTTPConnection, HTTPException
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import attrs
import pytest

ROOT = Path(__file__).parent.parent.parent
NODE = ROOT / "tests" / "node"
LIFETIME = 3

pytestmark = pytest.mark.skipif(
    not (NODE / "node_modules" / "oidc-provider").exists(), reason="npm's oidc-provider is not installed"
)


class StopAtCallback(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *what: Any) -> Any:
        if urlsplit(what[-1]).path == "/oauth/callback":
            raise Arrived(what[-1])
        return super().redirect_request(*what)


class Arrived(Exception):
    """At the gateway's door, with this URL."""


class Browser:
    """Fills in the forms that it meets."""

    def __init__(self) -> None:
        cookies = urllib.request.HTTPCookieProcessor(CookieJar())
        self._opener = urllib.request.build_opener(cookies, StopAtCallback())

    def consent(self, url: str) -> str:
        """The URL of the redirect to the gateway."""
        try:
            with self._opener.open(url, timeout=10) as answer:
                page, url = answer.read().decode(), answer.url
            for _ in range(5):
                page, url = self._submit(page, url)
        except Arrived as arrived:
            return str(arrived)
        raise AssertionError(f"The login has no end: {url} {page}")

    def _submit(self, page: str, url: str) -> tuple[str, str]:
        action = re.search(r'<form[^>]*action="([^"]+)"', page)
        assert action, page
        fields = dict(re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"', page))
        if 'name="login"' in page:
            fields |= {"login": "ada", "password": "x"}
        target = urljoin(url, unescape(action[1]))
        with self._opener.open(target, urlencode(fields).encode(), timeout=10) as answer:
            return answer.read().decode(), answer.url


@attrs.frozen
class Provider:
    issuer: str
    mcp: str
    process: "subprocess.Popen[str]"

    def test(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.issuer}/test/{path}", timeout=10) as answer:
            return json.load(answer)


@pytest.fixture
def provider() -> Iterator[Provider]:
    """The authorization server, and the MCP server that trusts it."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    mcp = f"http://127.0.0.1:{port}/mcp"
    node = ["node", "--no-warnings", str(NODE / "authorization_server.mjs"), mcp, str(LIFETIME)]
    with contextlib.ExitStack() as stack:
        one = stack.enter_context(
            subprocess.Popen(node, cwd=NODE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        )
        stack.callback(one.kill)
        assert one.stdout is not None
        lines = iter(one.stdout.readline, "")
        issuer = next(line.strip() for line in lines if line.startswith("http"))
        program = [sys.executable, str(ROOT / "tests" / "fakes" / "protected_server.py"), str(port), issuer]
        two = stack.enter_context(subprocess.Popen(program, stderr=subprocess.DEVNULL))
        stack.callback(two.kill)
        wait_until(lambda: is_open(port))
        yield Provider(issuer, mcp, one)


def is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def wait_until(happened: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def ask(daemon: Any, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """With the token of the person whom the daemon serves."""
    token = (Path(daemon.listening["data_dir"]) / "token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection = HTTPConnection("127.0.0.1", daemon.port, timeout=20)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, headers)
        answer = connection.getresponse()
        data = answer.read()
        return answer.status, json.loads(
            data
        ) if answer.headers.get_content_subtype() == "json" else data.decode()
    finally:
        connection.close()


def install(daemon: Any, provider: Provider) -> None:
    config = {"transport": "http", "url": provider.mcp}
    assert ask(daemon, "POST", "/api/mcp_server", {"name": "remote", "server_config": config})[0] == 201


def call(daemon: Any) -> Any:
    """21 doubled, or the code of what went wrong."""
    params = {"name": "double", "arguments": {"number": 21}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    _, data = ask(daemon, "POST", "/mcp_proxy/remote", message)
    return data["error"]["data"]["error"]["code"] if "error" in data else data["result"]["content"][0]["text"]


def begin(daemon: Any) -> str:
    status, data = ask(daemon, "POST", "/api/mcp_server/start_oauth", {"name": "remote"})
    assert status == 200, data
    url: str = data["auth_url"]
    return url


def come_back(daemon: Any, url: str) -> tuple[int, str]:
    parts = urlsplit(url)
    assert parts.netloc == f"localhost:{daemon.port}"
    return ask(daemon, "GET", f"{parts.path}?{parts.query}")


def log_in(daemon: Any) -> None:
    status, page = come_back(daemon, Browser().consent(begin(daemon)))
    assert status == 200, page


def test_one_login_lasts_over_expiry_restart_and_kill(start, provider) -> None:
    daemon = start()
    install(daemon, provider)
    assert call(daemon) == "UPSTREAM_AUTHORIZATION_NEEDED"

    log_in(daemon)

    assert call(daemon) == "42"
    first = set(provider.test("issued"))
    time.sleep(LIFETIME + 0.5)
    assert call(daemon) == "42"
    assert set(provider.test("issued")) > first
    daemon.end()
    time.sleep(LIFETIME + 0.5)
    again = start(port=daemon.port)
    assert call(again) == "42"
    again.process.kill()
    again.process.wait()
    time.sleep(LIFETIME + 0.5)
    once_more = start(port=daemon.port)
    assert call(once_more) == "42"
    _, server = ask(once_more, "GET", "/api/mcp_server/remote")
    shown = server["status"]["authorization"]
    assert (shown["state"], shown["issuer"], shown["can_refresh"]) == ("authorized", provider.issuer, True)
    assert shown["scopes"] == ["read"]


def test_what_the_provider_revokes_is_over_and_can_begin_again(start, provider) -> None:
    daemon = start()
    install(daemon, provider)
    log_in(daemon)
    assert call(daemon) == "42"

    provider.test("revoke")

    assert call(daemon) == "UPSTREAM_AUTHORIZATION_NEEDED"
    log_in(daemon)
    assert call(daemon) == "42"


def test_a_log_out_reaches_the_provider(start, provider) -> None:
    daemon = start()
    install(daemon, provider)
    log_in(daemon)
    assert call(daemon) == "42"
    worth = [token for token in provider.test("issued") if provider.test(f"token?value={token}")]

    status, _ = ask(daemon, "POST", "/api/mcp_server/remote/log_out")

    assert (status, len(worth)) == (200, 1)
    assert provider.test(f"token?value={worth[0]}") == {}
    assert call(daemon) == "UPSTREAM_AUTHORIZATION_NEEDED"


STEPS = {
    "installed": False,
    "begun": False,
    "consented": False,
    "exchanging": False,
    "exchanged": False,
    "finished": True,
    "used": True,
    "refreshing": True,
    "refreshed": False,
    "logging out": False,
}
"""Whether the login is there after a kill in this step. A refresh token that was used up before anybody heard
of the new one is lost: the provider takes its second use for a theft."""


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_in_any_step_leaves_something_to_go_on_with(start, provider, step) -> None:
    daemon = start()
    install(daemon, provider)
    through(step, daemon, provider)

    daemon.process.kill()
    daemon.process.wait()
    again = start(port=daemon.port)

    _, server = ask(again, "GET", "/api/mcp_server/remote")
    if STEPS[step]:
        assert call(again) == "42"
    else:
        assert server["status"]["state"] == "stopped"
        assert call(again) == "UPSTREAM_AUTHORIZATION_NEEDED"
        log_in(again)
        assert call(again) == "42"


def through(step: str, daemon: Any, provider: Provider) -> None:
    """As far as `step`."""
    if step == "installed":
        return
    url = begin(daemon)
    if step == "begun":
        return
    back = Browser().consent(url)
    if step == "consented":
        return
    if step.startswith("exchang"):
        between(provider, "hold" if step == "exchanging" else "withhold", come_back, daemon, back)
        return
    assert come_back(daemon, back)[0] == 200
    if step != "finished":
        assert call(daemon) == "42"
    if step.startswith("refresh"):
        time.sleep(LIFETIME + 0.5)
        between(provider, "hold" if step == "refreshing" else "withhold", call, daemon)
    if step == "logging out":
        between(provider, "hold", ask, daemon, "POST", "/api/mcp_server/remote/log_out")


def between(provider: Provider, kind: str, work: Callable[..., Any], *arguments: Any) -> None:
    """Returns while a token endpoint has not answered what `work` asked it."""

    def try_it() -> None:
        with contextlib.suppress(OSError, HTTPException):
            work(*arguments)

    provider.test(f"{kind}?seconds=2")
    threading.Thread(target=try_it).start()
    assert provider.process.stdout is not None
    assert "held\n" in iter(provider.process.stdout.readline, "")
    provider.test(f"{kind}?seconds=0")


def test_no_secret_is_found_anywhere_after_a_long_mixed_run(start, provider, environment, tmp_path) -> None:
    """The canary: a value of every kind, much traffic, and then a look into every corner."""
    data = Path(environment["ARCHESTRA_SERVER_DATA_DIR"])
    kinds = ("env", "named", "header", "key", "client")
    canaries = {kind: f"canary-{kind}-0123456789abcdef" for kind in kinds}
    file = tmp_path / "home" / ".cursor" / "mcp.json"
    file.parent.mkdir(parents=True)
    environment.update(HOME=str(tmp_path / "home"), SHELL="/bin/false")
    environment["ARCHESTRA_SECURITY_REQUIRE_TOKEN"] = "true"
    daemon = start("--log-level", "debug")
    lines: list[str] = []
    assert daemon.process.stderr is not None
    reader = threading.Thread(target=lines.extend, args=(daemon.process.stderr,))
    reader.start()
    install(daemon, provider)
    log_in(daemon)
    child = {
        "transport": "stdio",
        "command": sys.executable,
        "args": [str(ROOT / "tests/fakes/mcp_child.py")],
    }
    env = {"API_TOKEN": canaries["env"], "OTHER_TOKEN": "${secret:NAMED}"}
    oauth = {"client_id": "mine", "client_secret": canaries["client"]}
    headers = {"X-Api-Key": canaries["header"]}
    servers = {
        "child": {**child, "env": env},
        "headed": {"transport": "http", "url": provider.mcp, "headers": headers, "oauth": oauth},
    }
    assert ask(daemon, "POST", "/api/secret", {"name": "NAMED", "value": canaries["named"]})[0] == 201
    for name, config in servers.items():
        assert ask(daemon, "POST", "/api/mcp_server", {"name": name, "server_config": config})[0] == 201
    client = {"client_name": "cursor", "config": {"mode": "servers"}}
    assert ask(daemon, "POST", "/api/external_mcp_client/connect", client)[0] == 200
    entry = json.loads(file.read_text())["mcpServers"]["child"]
    canaries["token"] = entry["headers"]["Authorization"].removeprefix("Bearer ")
    assert ask(daemon, "DELETE", "/api/mcp_server/filesystem-server")[0] == 204  # its entry goes too
    key = {"name": "p", "kind": "openai", "base_url": "http://127.0.0.1:9", "api_key": canaries["key"]}
    assert ask(daemon, "POST", "/api/llm_provider", key)[0] == 201
    params = {"name": "echo", "arguments": {"text": " ".join(canaries.values())}}
    echo = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}

    deadline = time.monotonic() + 2 * LIFETIME + 1
    while time.monotonic() < deadline:
        assert call(daemon) == "42"
        ask(daemon, "POST", "/mcp_proxy/child", echo)
        with daemon.request("/mcp", echo, **{**entry["headers"], "X-Note": canaries["token"]}) as answer:
            assert answer.status == 200, answer.read()
        ask(daemon, "POST", "/mcp_proxy/headed", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        ask(daemon, "POST", "/llm/p/v1/chat/completions", {"model": "x", "note": canaries["key"]})
    secrets = {*canaries.values(), *provider.test("issued")}
    assert len(secrets) > len(canaries) + 3
    time.sleep(1.5)  # the request log writes in the background

    pages = [
        ask(daemon, "GET", path)[1]
        for path in (
            "/api/mcp_server",
            "/api/mcp_server/child/logs",
            "/api/llm_provider",
            "/api/secret",
            "/api/status",
            "/api/external_mcp_client",
            "/api/external_mcp_client/cursor",
            "/api/external_mcp_client/cursor/servers",
            "/api/mcp_request_log?page_size=500",
            "/api/openapi.json",
        )
    ]
    wanted = {"client_name": "cursor", "operation": "disconnect"}
    pages.append(ask(daemon, "POST", "/api/external_mcp_client/preview", wanted)[1])
    rows = next(page["data"] for page in pages if "data" in page)
    pages += [ask(daemon, "GET", f"/api/mcp_request_log/{row['request_id']}")[1] for row in rows[:50]]
    processes = command_lines()
    daemon.process.terminate()
    assert daemon.process.wait(20) == 0
    reader.join()

    assert len(rows) > 10
    assert len(lines) > 100
    assert found_in(secrets, json.dumps(pages)) == set()
    assert found_in(secrets, processes) == set()
    assert found_in(secrets, "".join(lines)) == set()
    kept = data / "clients" / "backups"  # copies of the person's own files, as they were
    assert found_in(secrets, "".join(path.read_text() for path in kept.rglob("*Z"))) == {canaries["token"]}
    for path in data.rglob("*"):
        if path.is_file() and kept not in path.parents:
            assert found_in(secrets, path.read_bytes().decode("latin-1")) == set(), path


def found_in(secrets: set[str], text: str) -> set[str]:
    return {secret for secret in secrets if secret in text}


def command_lines() -> str:
    """Of every process; and nobody but the child itself has its environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found.append((path / "cmdline").read_bytes().decode("latin-1"))
            environ = (path / "environ").read_bytes().decode("latin-1")
            if "mcp_child.py" not in found[-1]:
                found.append(environ)
    return "\n".join(found)

"""Servers that are packages: installed once from a registry, then run without it."""

import asyncio
import gc
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from archestra_gateway.app import create_app
from archestra_gateway.config import Config, McpConfig

pytestmark = [
    pytest.mark.skipif(not all(map(shutil.which, ("bwrap", "npm"))), reason="needs bubblewrap and npm"),
    pytest.mark.timeout(300),
]

URL = "/api/mcp_server"
COMMANDS = {"npm": ("npx", ["-y", "demo-server"]), "pypi": ("uvx", ["demo-server"])}
ECOSYSTEMS = tuple(COMMANDS)
ABOUT = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "about", "arguments": {}}}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@attrs.frozen
class Registry:
    """await registry.becomes(latest="2.0.0")"""

    url: str
    http: aiohttp.ClientSession

    async def becomes(self, **state: Any) -> None:
        async with self.http.post(f"{self.url}/-/state", json=state) as answer:
            assert answer.status == 200

    async def seen(self) -> list[str]:
        async with self.http.get(f"{self.url}/-/state") as answer:
            return list((await answer.json())["seen"])

    async def is_asked(self) -> None:
        async with asyncio.timeout(120):
            while not await self.seen():
                await asyncio.sleep(0.02)


@pytest.fixture
async def registry(registry_url: str) -> AsyncIterator[Registry]:
    async with aiohttp.ClientSession() as http:
        yield Registry(registry_url, http)


@pytest.fixture
def registry_url() -> Iterator[str]:
    program = Path(__file__).parent.parent / "fakes" / "package_registry.py"
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.kill()


@pytest.fixture(scope="session")
def uv(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a uv: this machine's, or one for all tests."""
    if found := shutil.which("uv"):
        return os.path.dirname(found)
    folder = tmp_path_factory.mktemp("uv")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), "uv"]
    if subprocess.run(pip, check=False, timeout=100).returncode != 0:
        pytest.skip("needs uv, and a Python index to bring it from")
    folder.chmod(0o755)
    return str(folder / "bin")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "person"
    folder.mkdir()
    return folder


@pytest.fixture
def variables(registry: Registry, uv: str, home: Path) -> dict[str, str]:
    """A person's, on a machine whose registry is the fake one."""
    return {
        "HOME": str(home),
        "SHELL": "/bin/sh",
        "PATH": f"{uv}:{os.environ['PATH']}",
        "NPM_CONFIG_REGISTRY": f"{registry.url}/npm",
        "UV_DEFAULT_INDEX": f"{registry.url}/simple",
    }


@pytest.fixture
def mcp() -> McpConfig:
    return McpConfig(start_timeout=60, request_timeout=20, allow_root=True)


@pytest.fixture
def app(config: Config, variables: dict[str, str]) -> web.Application:
    return create_app(config, variables)


async def add(client: TestClient, name: str, ecosystem: str, **more: Any) -> None:
    command, args = COMMANDS[ecosystem]
    config = {"transport": "stdio", "command": command, "args": args, **more}
    answer = await client.post(URL, json={"name": name, "server_config": config})
    assert answer.status == 201, await answer.text()


async def about(client: TestClient, name: str) -> dict[str, Any]:
    """What the server tells of itself."""
    answer = await (await client.post(f"/mcp_proxy/{name}", json=ABOUT)).json()
    assert "result" in answer, answer
    return dict(json.loads(answer["result"]["content"][0]["text"]))


async def follow(client: TestClient, name: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of what is being installed, to the end."""
    text = await (await client.get(f"{URL}/{name}/install?follow=1")).text()
    events = []
    for block in filter(None, text.split("\n\n")):
        kind, _, data = block.partition("\n")
        events.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events


async def shown(client: TestClient, name: str) -> dict[str, Any]:
    return dict(await (await client.get(f"{URL}/{name}/install")).json())


def packages(config: Config, name: str) -> Path:
    return config.server.data_dir / "servers" / name / "packages"


def leftovers(config: Config, name: str) -> list[str]:
    folder = packages(config, name)
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("ecosystem", ECOSYSTEMS)
async def test_a_first_call_installs_and_later_ones_run_without_the_registry(
    client: TestClient, registry: Registry, config: Config, ecosystem: str
) -> None:
    await add(client, "demo", ecosystem)
    assert (await shown(client, "demo"))["state"] == "missing"

    told = await about(client, "demo")
    asked = await registry.seen()
    await client.post(f"{URL}/demo/restart")
    again = await about(client, "demo")

    assert (told["version"], told["part"]) == (again["version"], again["part"]) == ("1.0.0", "1.0.0")
    assert await registry.seen() == asked
    status = (await (await client.get(f"{URL}/demo")).json())["status"]
    assert (status["state"], status["sandbox"]) == ("running", "bubblewrap")
    (folder,) = leftovers(config, "demo")
    assert not (packages(config, "demo") / folder / "work").exists()


@pytest.mark.parametrize("ecosystem", ECOSYSTEMS)
async def test_what_is_installed_is_shown_with_versions_and_hashes(
    client: TestClient, ecosystem: str, caplog: pytest.LogCaptureFixture
) -> None:
    await add(client, "demo", ecosystem)

    begun = await client.post(f"{URL}/demo/install")
    assert begun.status == 202
    assert (await begun.json())["state"] == "installing"
    events = await follow(client, "demo")

    kinds = [kind for kind, _ in events]
    assert kinds[-1] == "done"
    steps = [data["step"] for kind, data in events if kind == "step"]
    assert steps == ["waiting", "resolving", "downloading", "checking"]
    progress = [data for kind, data in events if kind == "progress"]
    assert (progress[0], progress[-1]) == ({"done": 0, "total": 2}, {"done": 2, "total": 2})
    done = events[-1][1]
    assert done == await shown(client, "demo")
    assert (done["state"], done["ecosystem"], done["wanted"]) == ("installed", ecosystem, ["demo-server"])
    assert done["version"] == "1.0.0"
    assert {(each["name"], each["version"]) for each in done["packages"]} == {
        ("demo-server", "1.0.0"),
        ("demo-part", "1.0.0"),
    }
    prefix = "sha512-" if ecosystem == "npm" else "sha256:"
    assert all(each["hashes"][0].startswith(prefix) for each in done["packages"])
    assert len(done["lock_sha256"]) == len(done["files_sha256"]) == 64
    assert os.path.isabs(done["command"][0])
    assert (await about(client, "demo"))["version"] == "1.0.0"
    gc.collect()
    assert [line.message for line in caplog.records if line.levelname == "ERROR"] == []


async def test_no_script_of_a_package_is_run(client: TestClient) -> None:
    await add(client, "demo", "npm")

    told = await about(client, "demo")

    assert told["hasRunScripts"] is False
    assert (await shown(client, "demo"))["skipped_scripts"] == ["demo-server"]


@pytest.mark.parametrize("ecosystem", ECOSYSTEMS)
async def test_credentials_reach_the_registry_and_nobody_else(
    client: TestClient,
    registry: Registry,
    config: Config,
    variables: dict[str, str],
    home: Path,
    ecosystem: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    host = registry.url.removeprefix("http://")
    if ecosystem == "npm":
        await registry.becomes(authorization="Bearer t0ken-of-the-registry")
        (home / ".npmrc").write_text(f"//{host}/npm/:_authToken=${{REGISTRY_TOKEN}}\n")
        variables["REGISTRY_TOKEN"] = "t0ken-of-the-registry"
    else:
        await registry.becomes(authorization="Basic bWU6dDBrZW4tb2YtdGhlLXJlZ2lzdHJ5")
        variables["UV_DEFAULT_INDEX"] = f"http://me:t0ken-of-the-registry@{host}/simple"
    await add(client, "demo", ecosystem)
    await client.post(f"{URL}/demo/install")
    events = await follow(client, "demo")

    told = await about(client, "demo")

    assert told["version"] == "1.0.0"
    assert "t0ken" not in json.dumps([told, events, await shown(client, "demo")])
    assert "t0ken" not in caplog.text
    files = [path for path in config.server.data_dir.rglob("*") if path.is_file()]
    assert [path for path in files if b"t0ken" in path.read_bytes()] == []


@pytest.mark.parametrize("ecosystem", ECOSYSTEMS)
async def test_a_failure_is_told_in_the_package_managers_own_words(
    client: TestClient, registry: Registry, config: Config, ecosystem: str
) -> None:
    args = [*COMMANDS[ecosystem][1][:-1], "no-such-server"]
    await add(client, "demo", ecosystem, args=args)
    await client.post(f"{URL}/demo/install")

    kind, data = (await follow(client, "demo"))[-1]

    assert kind == "error"
    words = {"npm": "E404 404 Not Found", "pypi": "no-such-server was not found in the package registry"}
    assert words[ecosystem] in data["error"]["message"]
    assert len(data["error"]["details"]["lines"]) > 1
    assert leftovers(config, "demo") == []
    after = await shown(client, "demo")
    assert after["state"] == "failed"
    assert after["error"] == data["error"]["message"]
    asked = len(await registry.seen())
    call = await client.post("/mcp_proxy/demo", json=LIST)
    assert (await call.json())["error"]["message"] == after["error"]
    assert len(await registry.seen()) == asked, "a failure is not repeated by every call"


async def test_a_cancelled_installation_leaves_nothing(
    client: TestClient, registry: Registry, config: Config
) -> None:
    await registry.becomes(stalled=True)
    await add(client, "demo", "npm")
    await client.post(f"{URL}/demo/install")
    await registry.is_asked()

    following = asyncio.create_task(follow(client, "demo"))
    assert (await client.delete(f"{URL}/demo/install")).status == 204

    kind, data = (await following)[-1]
    assert (kind, data["error"]["message"]) == ("error", "Installing the MCP server demo was cancelled")
    assert leftovers(config, "demo") == []
    assert (await client.delete(f"{URL}/demo/install")).status == 404
    await registry.becomes(stalled=False)
    await client.post(f"{URL}/demo/install")
    assert (await follow(client, "demo"))[-1][0] == "done"


async def test_two_installations_of_a_server_conflict_and_of_two_servers_do_not(
    client: TestClient, registry: Registry
) -> None:
    await registry.becomes(stalled=True)
    await add(client, "one", "npm")
    await add(client, "two", "pypi")
    assert (await client.post(f"{URL}/one/install")).status == 202
    assert (await client.post(f"{URL}/two/install")).status == 202

    second = await client.post(f"{URL}/one/install")

    assert second.status == 409
    assert "is being installed already" in (await second.json())["error"]["message"]
    await registry.becomes(stalled=False)
    assert [(await follow(client, name))[-1][0] for name in ("one", "two")] == ["done", "done"]


async def test_a_server_that_is_removed_while_it_is_installed_leaves_nothing(
    client: TestClient, registry: Registry, config: Config
) -> None:
    await registry.becomes(stalled=True)
    await add(client, "demo", "npm")
    await client.post(f"{URL}/demo/install")
    await registry.is_asked()

    assert (await client.delete(f"{URL}/demo")).status == 204

    assert not packages(config, "demo").parent.exists()


@pytest.mark.parametrize("ecosystem", ECOSYSTEMS)
async def test_an_update_is_shown_and_then_done(
    client: TestClient, registry: Registry, config: Config, ecosystem: str
) -> None:
    await add(client, "demo", ecosystem)
    assert (await about(client, "demo"))["version"] == "1.0.0"
    before = leftovers(config, "demo")
    await registry.becomes(latest="2.0.0")
    await client.post(f"{URL}/demo/restart")
    assert (await about(client, "demo"))["version"] == "1.0.0", "a version stays until it is updated"

    preview = await (await client.post(f"{URL}/demo/install/preview?tools=1")).json()

    assert (preview["version"], preview["new_version"]) == ("1.0.0", "2.0.0")
    assert preview["changes"] == [
        {"name": "demo-part", "before": "1.0.0", "after": "1.1.0"},
        {"name": "demo-server", "before": "1.0.0", "after": "2.0.0"},
    ]
    assert preview["tools"] == {"added": [], "changed": ["about"], "removed": []}
    assert leftovers(config, "demo") == before
    wrong = await client.post(f"{URL}/demo/install/update", json={"plan": "another"})
    assert wrong.status == 409
    begun = await client.post(f"{URL}/demo/install/update", json={"plan": preview["plan"]})
    assert begun.status == 202
    events = await follow(client, "demo")
    assert {"step": "trying"} in [data for kind, data in events if kind == "step"]
    assert (events[-1][0], events[-1][1]["version"]) == ("done", "2.0.0")
    held = await (await client.post("/mcp_proxy/demo", json=ABOUT)).json()
    assert "is held back" in held["error"]["message"], "its description is another one"
    await client.post(f"{URL}/demo/tools/accept", json={})
    assert (await about(client, "demo"))["version"] == "2.0.0"
    assert len(leftovers(config, "demo")) == 1
    assert leftovers(config, "demo") != before
    again = await (await client.post(f"{URL}/demo/install/preview")).json()
    assert (again["new_version"], again["changes"], again["tools"]) == ("2.0.0", [], None)


async def test_the_old_version_stays_when_the_new_one_does_not_work(
    client: TestClient, registry: Registry, config: Config
) -> None:
    await add(client, "demo", "pypi")
    pid = (await about(client, "demo"))["env"] and await running(client, "demo")
    before = leftovers(config, "demo")
    await registry.becomes(latest="3.0.0")

    await client.post(f"{URL}/demo/install/update", json={})
    kind, data = (await follow(client, "demo"))[-1]

    assert kind == "error"
    assert data["error"]["message"].startswith("The new version does not work, and the old one stays: ")
    assert "is broken" in data["error"]["message"]
    assert leftovers(config, "demo") == before
    assert await running(client, "demo") == pid, "what runs was not disturbed"
    assert (await about(client, "demo"))["version"] == "1.0.0"
    after = await shown(client, "demo")
    assert (after["state"], after["version"]) == ("installed", "1.0.0")
    assert after["error"] == data["error"]["message"]


async def running(client: TestClient, name: str) -> int | None:
    pid: int | None = (await (await client.get(f"{URL}/{name}")).json())["status"]["pid"]
    return pid


async def test_files_that_somebody_changed_are_not_run(
    client: TestClient,
    config: Config,
    variables: dict[str, str],
    serve: Callable[[web.Application], Any],
) -> None:
    await add(client, "demo", "pypi")
    await about(client, "demo")
    await client.close()
    (script,) = packages(config, "demo").rglob("demo_server/__init__.py")
    script.write_text(script.read_text() + "\n")
    later = await serve(create_app(config, variables))

    answer = await later.post("/mcp_proxy/demo", json=LIST)

    message = (await answer.json())["error"]["message"]
    assert "are not those that were installed" in message
    await later.post(f"{URL}/demo/install")
    assert (await follow(later, "demo"))[-1][0] == "done"
    assert (await about(later, "demo"))["version"] == "1.0.0"


@pytest.mark.parametrize("ecosystem", ECOSYSTEMS)
async def test_what_went_away_is_installed_again_from_its_lock_and_nothing_else_is_taken_for_it(
    client: TestClient, registry: Registry, config: Config, variables: dict[str, str], ecosystem: str
) -> None:
    variables["NPM_CONFIG_FETCH_RETRIES"] = "0"
    await add(client, "demo", ecosystem)
    await about(client, "demo")
    await client.post(f"{URL}/demo/stop")
    shutil.rmtree(packages(config, "demo"))
    await registry.becomes(latest="2.0.0", tampered=True)

    refused = await client.post(f"{URL}/demo/start")
    refusal = (await refused.json())["error"]
    await registry.becomes(tampered=False)
    await client.post(f"{URL}/demo/start")

    assert refused.status == 502
    words = {"npm": "EINTEGRITY", "pypi": "Hash mismatch"}[ecosystem]
    assert words in " ".join(refusal["details"]["lines"])
    assert (await about(client, "demo"))["version"] == "1.0.0", "the lock has 1.0.0"


async def test_another_version_in_the_command_is_installed_in_the_place_of_the_old_one(
    client: TestClient, registry: Registry, config: Config
) -> None:
    await registry.becomes(latest="2.0.0")
    await add(client, "demo", "npm")
    assert (await about(client, "demo"))["version"] == "2.0.0"

    older = {"transport": "stdio", "command": "npx", "args": ["-y", "demo-server@1.0.0"]}
    await client.put(f"{URL}/demo", json={"server_config": older})
    assert (await client.post(f"{URL}/demo/start")).status == 200
    await client.post(f"{URL}/demo/tools/accept", json={})

    assert (await about(client, "demo"))["version"] == "1.0.0"
    assert len(leftovers(config, "demo")) == 1


async def test_another_command_ends_the_installation_of_the_old_one(
    client: TestClient, registry: Registry, config: Config
) -> None:
    await registry.becomes(stalled=True)
    await add(client, "demo", "npm")
    await client.post(f"{URL}/demo/install")
    await registry.is_asked()
    await registry.becomes(stalled=False)

    other = {"transport": "stdio", "command": "uvx", "args": ["demo-server"]}
    await client.put(f"{URL}/demo", json={"server_config": other})

    assert (await about(client, "demo"))["python"].startswith(str(packages(config, "demo")))
    assert len(leftovers(config, "demo")) == 1


async def test_a_daemon_that_was_killed_half_way_starts_clean(
    client: TestClient,
    config: Config,
    variables: dict[str, str],
    serve: Callable[[web.Application], Any],
) -> None:
    await add(client, "demo", "npm")
    await about(client, "demo")
    await client.close()
    kept = leftovers(config, "demo")
    half = packages(config, "demo") / "0000aaaa" / "node_modules"
    half.mkdir(parents=True)
    half.chmod(0o500)
    (config.server.data_dir / "tools" / ".half").mkdir(parents=True)

    later = await serve(create_app(config, variables))

    assert leftovers(config, "demo") == kept
    assert list((config.server.data_dir / "tools").iterdir()) == []
    assert (await about(later, "demo"))["version"] == "1.0.0"


class TestAnImpatientGateway:
    @pytest.fixture
    def mcp(self) -> McpConfig:
        return McpConfig(start_timeout=1.0, request_timeout=20)

    async def test_a_call_is_told_that_its_server_is_being_installed(
        self, client: TestClient, registry: Registry
    ) -> None:
        await registry.becomes(stalled=True)
        await add(client, "demo", "npm")

        answer = await (await client.post("/mcp_proxy/demo", json=LIST)).json()
        state = (await (await client.get(f"{URL}/demo")).json())["status"]["state"]

        told = answer["error"]["message"]
        assert re.match(r"The MCP server demo is being installed \((waiting|resolving), \d+ seconds", told)
        assert answer["error"]["data"]["error"]["code"] == "UPSTREAM_UNAVAILABLE"
        assert state == "installing"
        await registry.becomes(stalled=False)
        assert (await follow(client, "demo"))[-1][0] == "done"


@pytest.mark.parametrize(
    ("command", "args", "sentence"),
    [
        ("npx", ["github:owner/repository"], "is not a package of an npm registry"),
        ("uvx", ["--from", "git+https://example.com/x", "x"], "is not a package of a Python index"),
        ("uvx", ["--python", "3.4", "demo-server"], "is to run with Python 3.4, which was not found"),
    ],
)
async def test_what_can_not_be_installed_is_told(
    client: TestClient, command: str, args: list[str], sentence: str
) -> None:
    await add(client, "demo", "npm", command=command, args=args)

    answer = await client.post(f"{URL}/demo/start")

    assert answer.status == 503
    assert sentence in (await answer.json())["error"]["message"]


async def test_a_program_of_the_machine_needs_no_installation(client: TestClient, fake: Any) -> None:
    await client.post(URL, json={"name": "plain", "server_config": fake()})

    assert (await shown(client, "plain"))["state"] == "not_needed"
    for path in ("install", "install/preview"):
        answer = await client.post(f"{URL}/plain/{path}")
        assert answer.status == 400
        assert "There is nothing to install" in (await answer.json())["error"]["message"]


async def test_a_host_that_is_not_the_registrys_is_refused_and_named(
    client: TestClient, registry: Registry, variables: dict[str, str], tmp_path: Path
) -> None:
    """The files lie on a host that nobody named."""
    variables["NPM_CONFIG_REGISTRY"] = registry.url.replace("127.0.0.1", "localhost") + "/npm"
    await registry.becomes(file_host="files.example.com")
    await add(client, "demo", "npm")
    await client.post(f"{URL}/demo/install")

    kind, data = (await follow(client, "demo"))[-1]

    assert kind == "error"
    assert data["error"]["details"]["refused"] == ["files.example.com:80"]
    assert "add what you trust to `install.hosts`" in data["error"]["message"]


async def test_the_machines_proxy_is_used(
    client: TestClient, registry: Registry, variables: dict[str, str]
) -> None:
    """The registry's name is known to the proxy alone, which leads everything there."""
    port = int(registry.url.rpartition(":")[2])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        there = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(copy(reader, there[1]), copy(there[0], writer), return_exceptions=True)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    heads: list[bytes] = []
    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    variables["HTTPS_PROXY"] = f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
    variables["UV_DEFAULT_INDEX"] = "http://registry.invalid:8080/simple"
    await registry.becomes(file_host="registry.invalid:8080")
    await add(client, "demo", "pypi")

    told = await about(client, "demo")

    proxy.close()
    assert told["version"] == "1.0.0"
    assert set(heads) == {b"CONNECT registry.invalid:8080 HTTP/1.1"}
    assert not {name for name in told["env"] if name.lower().endswith("_proxy")}


async def test_a_server_without_the_sandbox_is_installed_all_the_same(
    client: TestClient, config: Config
) -> None:
    await add(client, "demo", "pypi")
    await client.put(f"{URL}/demo", json={"permissions": {"sandbox": "off"}})

    told = await about(client, "demo")

    status = (await (await client.get(f"{URL}/demo")).json())["status"]
    assert (told["version"], status["sandbox"]) == ("1.0.0", "none")
    assert told["python"].startswith(str(packages(config, "demo")))


async def test_a_servers_own_registry_is_asked_for_it_alone(
    client: TestClient, registry: Registry, variables: dict[str, str]
) -> None:
    variables["UV_DEFAULT_INDEX"] = "http://127.0.0.1:9/simple"
    await add(client, "by_env", "pypi", env={"UV_INDEX_URL": f"{registry.url}/simple"})
    await add(client, "by_option", "pypi", args=["--index-url", f"{registry.url}/simple", "demo-server"])

    assert (await about(client, "by_env"))["version"] == "1.0.0"
    assert (await about(client, "by_option"))["version"] == "1.0.0"

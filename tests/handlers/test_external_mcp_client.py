"""`/api/external_mcp_client`: a person's other programs, connected through their own files."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from archestra_gateway import keys
from archestra_gateway.app import create_app
from archestra_gateway.config import Config, SecurityConfig, ServerConfig

Client = TestClient[web.Request, web.Application]

ROUTE = "/api/external_mcp_client"
URL = "http://localhost:54587"
MCP = {"url": f"{URL}/mcp", "headers": {"X-Client-Name": "cursor"}}
FAKE_CLAUDE = Path(__file__).parent.parent / "fakes" / "claude.py"
OLD = """{
  // mine
  "mcpServers": {
    "other": {"command": "other-server", "env": {"KEY": "value"}}
  }
}
"""


@pytest.fixture
def security() -> SecurityConfig:
    return SecurityConfig()


@pytest.fixture
def config(tmp_path: Path, security: SecurityConfig) -> Config:
    server = ServerConfig(port=0, base_url=URL, data_dir=tmp_path / "data")
    return Config(server=server, security=security)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A person's home with Cursor in it, who has a server there."""
    (tmp_path / "home" / ".cursor").mkdir(parents=True)
    (tmp_path / "home" / ".cursor" / "mcp.json").write_text(OLD)
    (tmp_path / "home" / "bin").mkdir()
    return tmp_path / "home"


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    path = os.pathsep.join([str(home / "bin"), str(Path(sys.executable).parent), os.defpath])
    return {"HOME": str(home), "PATH": path, "SHELL": "/bin/false"}


@pytest.fixture
def app(config: Config, environment: dict[str, str]) -> web.Application:
    return create_app(config, environment)


@pytest.fixture
def cursor(home: Path) -> Path:
    return home / ".cursor" / "mcp.json"


async def connect(client: Client, name: str, **config: Any) -> dict[str, Any]:
    body = {"client_name": name, **({"config": config} if config else {})}
    answer = await client.post(f"{ROUTE}/connect", json=body)
    assert answer.status == 200, await answer.text()
    return dict(await answer.json())


async def get(client: Client, path: str) -> Any:
    answer = await client.get(f"{ROUTE}{path}")
    assert answer.status == 200, await answer.text()
    return await answer.json()


def servers_in(path: Path) -> dict[str, Any]:
    text = "\n".join(line for line in path.read_text().splitlines() if not line.strip().startswith("//"))
    return dict(json.loads(text)["mcpServers"])


async def test_connecting_writes_one_entry_and_disconnecting_takes_it_back(
    client: Client, cursor: Path
) -> None:
    shown = await connect(client, "cursor")
    written = servers_in(cursor)
    gone = await client.delete(f"{ROUTE}/cursor/disconnect")

    assert shown | {"created_at": "", "updated_at": "", "connected_at": ""} == {
        "name": "cursor",
        "title": "Cursor",
        "config": {
            "path": None,
            "format": None,
            "key": None,
            "entry": None,
            "mode": "gateway",
            "servers": None,
            "tools": None,
        },
        "path": str(cursor),
        "format": "jsonc",
        "is_known": True,
        "is_installed": True,
        "is_connected": True,
        "is_drifted": False,
        "entries": [{"name": "archestra", "state": "same"}],
        "problem": None,
        "notes": [],
        "last_seen_at": None,
        "requests": 0,
        "connected_at": "",
        "created_at": "",
        "updated_at": "",
    }
    assert written["archestra"] == MCP
    assert gone.status == 204
    assert cursor.read_text() == OLD


async def test_disconnecting_twice_is_no_error(client: Client, cursor: Path) -> None:
    await connect(client, "cursor")

    first, second = [(await client.delete(f"{ROUTE}/cursor/disconnect")).status for _ in range(2)]
    unknown = await client.delete(f"{ROUTE}/zed/disconnect")

    assert (first, second, unknown.status) == (204, 204, 404)


async def test_a_file_and_folders_that_were_made_go_again(client: Client, home: Path) -> None:
    shown = await connect(client, "junie")
    entry = servers_in(home / ".junie" / "mcp" / "mcp.json")["archestra"]
    await client.delete(f"{ROUTE}/junie/disconnect")

    assert shown["is_connected"]
    assert entry["args"][-2:] == ["--client", "junie"]
    assert "mcp-stdio" in entry["args"]
    assert not (home / ".junie").exists()


async def test_what_is_supported_tells_what_is_installed(client: Client) -> None:
    await connect(client, "cursor")

    told = await get(client, "/supported")

    by_name = {each["name"]: each for each in told["clients"]}
    assert [name for name, each in by_name.items() if each["is_installed"]] == ["cursor"]
    assert [name for name, each in by_name.items() if each["is_connected"]] == ["cursor"]
    assert by_name["claude-desktop"]["transport"] == "stdio"
    assert by_name["claude-desktop"]["must_be_quit"]
    assert len(by_name) == 43
    assert [snippet["name"] for snippet in told["snippets"]] == [
        "jetbrains-ai-assistant",
        "chatgpt",
        "cherry-studio",
    ]
    assert json.loads(told["snippets"][0]["text"]) == {"mcpServers": {"archestra": {"url": f"{URL}/mcp"}}}


async def test_a_preview_shows_the_change_and_makes_none(client: Client, cursor: Path) -> None:
    answer = await client.post(f"{ROUTE}/preview", json={"client_name": "cursor"})

    preview = await answer.json()
    assert preview["is_changed"]
    assert '+    "archestra": {' in preview["difference"]
    assert "-" not in {line[0] for line in preview["difference"].splitlines()[4:] if "other" not in line}
    assert cursor.read_text() == OLD
    assert await get(client, "") == []


async def test_a_custom_client_is_a_path_and_a_format(client: Client, home: Path) -> None:
    config = {
        "path": "~/my-client.toml".replace("~", str(home)),
        "format": "toml",
        "key": ["mcp", "servers"],
        "entry": {"address": "$url"},
    }

    created = await client.post(ROUTE, json={"name": "My Client", "config": config})
    again = await client.post(ROUTE, json={"name": "My Client", "config": config})
    connected = await connect(client, "My Client")

    assert (created.status, again.status) == (201, 409)
    assert connected["entries"] == [{"name": "archestra", "state": "same"}]
    assert (home / "my-client.toml").read_text() == (f'[mcp.servers.archestra]\naddress = "{URL}/mcp"\n')
    assert (await client.delete(f"{ROUTE}/My%20Client")).status == 204
    assert not (home / "my-client.toml").exists()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "unheard-of", "config": {}}, 422),
        ({"name": "unheard-of"}, 422),
        ({"name": "unheard-of", "config": {"path": "/x", "format": "ini"}}, 422),
        ({"name": "unheard-of", "config": {"path": "x", "format": "json"}}, 422),
        ({"name": "unheard-of", "config": {"path": "/x", "format": "json", "key": []}}, 422),
        ({"name": "cursor", "config": {"format": "json"}}, 422),
        ({"name": "supported", "config": {"path": "/x", "format": "json"}}, 422),
        ({"name": "a/b", "config": {"path": "/x", "format": "json"}}, 422),
        ({"name": "", "config": {}}, 422),
        ({"name": "cursor", "colour": "red"}, 422),
    ],
)
async def test_what_makes_no_sense_is_refused(client: Client, body: dict[str, Any], status: int) -> None:
    answer = await client.post(ROUTE, json=body)

    assert answer.status == status, await answer.text()
    assert await get(client, "") == []


async def test_a_broken_file_is_left_alone_and_says_why(client: Client, cursor: Path) -> None:
    cursor.write_text('{"mcpServers": {\n  broken\n')

    answer = await client.post(f"{ROUTE}/connect", json={"client_name": "cursor"})
    shown = await get(client, "/cursor")

    assert answer.status == 409
    message = "The configuration of Cursor is left alone: line 2: a key in double quotes is expected"
    assert (await answer.json())["error"] == {
        "code": "CONFLICT",
        "message": message,
        "details": {"path": str(cursor)},
    }
    assert (shown["is_connected"], shown["problem"]) == (False, message)
    assert cursor.read_text() == '{"mcpServers": {\n  broken\n'


async def test_drift_is_found_and_repaired_on_request(client: Client, cursor: Path) -> None:
    await connect(client, "cursor")
    cursor.write_text(cursor.read_text().replace("54587/mcp", "1/elsewhere"))

    drifted = await get(client, "/cursor")
    repaired = await connect(client, "cursor")

    assert (drifted["is_drifted"], drifted["entries"][0]["state"]) == (True, "changed")
    assert not repaired["is_drifted"]
    assert servers_in(cursor)["archestra"] == MCP


async def test_servers_that_come_and_go_reach_connected_clients(client: Client, cursor: Path) -> None:
    await connect(client, "cursor", mode="servers")
    before = servers_in(cursor)
    server = {"transport": "http", "url": "http://localhost:1/mcp"}
    await client.post("/api/mcp_server", json={"name": "search", "server_config": server})
    await until(lambda: "search" in servers_in(cursor))
    after = servers_in(cursor)
    await client.delete("/api/mcp_server/search")
    await until(lambda: "search" not in servers_in(cursor))
    await client.delete(f"{ROUTE}/cursor/disconnect")

    assert set(before) == {"other", "filesystem-server"}
    assert after["search"]["url"] == f"{URL}/mcp_proxy/search"
    assert cursor.read_text() == OLD


async def test_a_name_that_is_taken_there_gets_a_longer_one(client: Client, cursor: Path) -> None:
    server = {"transport": "http", "url": "http://localhost:1/mcp"}
    await client.post("/api/mcp_server", json={"name": "other", "server_config": server})

    await connect(client, "cursor", mode="servers", servers=["other"])

    assert set(servers_in(cursor)) == {"other", "archestra-other"}
    assert servers_in(cursor)["other"]["command"] == "other-server"


async def test_a_changed_configuration_changes_the_file(client: Client, cursor: Path, home: Path) -> None:
    await connect(client, "cursor")
    elsewhere = home / "elsewhere.json"

    answer = await client.put(f"{ROUTE}/cursor", json={"config": {"path": str(elsewhere)}})

    assert (await answer.json())["path"] == str(elsewhere)
    assert servers_in(elsewhere) == {"archestra": MCP}
    assert cursor.read_text() == OLD


async def test_a_backup_can_be_brought_back(client: Client, cursor: Path) -> None:
    await connect(client, "cursor")
    written = cursor.read_text()

    backups = await get(client, "/cursor/backups")
    restored = await client.post(f"{ROUTE}/cursor/restore", json={"backup": backups[0]["id"]})
    missing = await client.post(f"{ROUTE}/cursor/restore", json={"backup": "../../token"})

    assert not (await restored.json())["is_connected"]
    assert cursor.read_text() == OLD
    assert missing.status == 404

    await client.post(f"{ROUTE}/cursor/restore", json={})
    assert cursor.read_text() == written


async def test_servers_are_brought_in_and_replaced_by_the_gateway(client: Client, cursor: Path) -> None:
    found = await get(client, "/cursor/servers")
    answer = await client.post(f"{ROUTE}/cursor/import", json={"servers": ["other"], "replace": True})
    server = await (await client.get("/api/mcp_server/other")).json()

    assert [(each["name"], each["command"], each["env"], each["problem"]) for each in found] == [
        ("other", "other-server", ["KEY"], None)
    ]
    result = await answer.json()
    assert result["servers"] == [{"found": "other", "name": "other", "problem": None}]
    assert result["client"]["is_connected"]
    assert server["server_config"]["command"] == "other-server"
    assert server["server_config"]["env"] == {"KEY": "********"}
    confined = server["permissions"]
    assert (confined["sandbox"], confined["hosts"], confined["read_write"]) == ("on", [], [])
    assert servers_in(cursor) == {"archestra": MCP}
    assert "// mine" in cursor.read_text()
    await client.post(f"{ROUTE}/cursor/restore", json={})
    assert cursor.read_text() == OLD


async def test_a_profile_that_is_gone_stands_in_nobodys_way(client: Client, home: Path) -> None:
    profile = home / ".config" / "Code" / "User" / "profiles" / "-1a2b"
    profile.mkdir(parents=True)
    name = "vscode-profile--1a2b"
    await connect(client, name)
    await connect(client, "cursor")
    shutil.rmtree(profile)

    shown = {each["name"]: each for each in await get(client, "")}
    gone = await client.delete(f"{ROUTE}/{name}")

    assert shown["cursor"]["problem"] is None
    assert "give the `path`" in shown[name]["problem"]
    assert (shown[name]["is_installed"], shown[name]["entries"]) == (False, [])
    assert gone.status == 204
    assert [each["name"] for each in await get(client, "")] == ["cursor"]


async def test_what_can_not_be_brought_in_says_why(client: Client, cursor: Path) -> None:
    await connect(client, "cursor")
    text = cursor.read_text().replace(
        '"other": {',
        '"old": {"type": "sse", "url": "https://a/sse"}, "asks": {"command": "${input:key}"}, "other": {',
    )
    cursor.write_text(text)

    names = ["old", "asks", "archestra", "other"]
    answer = await client.post(f"{ROUTE}/cursor/import", json={"servers": names})
    again = await client.post(f"{ROUTE}/cursor/import", json={"servers": ["other"]})
    missing = await client.post(f"{ROUTE}/cursor/import", json={"servers": ["none"]})

    problems = [each["problem"] for each in (await answer.json())["servers"]]
    assert problems == [
        None,
        "${input:key} is filled in by the client: add the server with the value",
        "This is the gateway itself",
        None,
    ]
    assert "already" in (await again.json())["servers"][0]["problem"]
    assert missing.status == 404
    assert cursor.read_text() == text
    old = await (await client.get("/api/mcp_server/old")).json()
    assert (old["server_config"]["transport"], old["server_config"]["url"]) == ("http", "https://a/sse")


class TestClaudeCode:
    @pytest.fixture
    def program(self, home: Path) -> Path:
        program = home / "bin" / "claude"
        shutil.copy(FAKE_CLAUDE, program)
        program.chmod(0o755)
        return program

    async def test_its_own_command_writes_the_entry(self, client: Client, home: Path, program: Path) -> None:
        (home / ".claude.json").write_text('{"numStartups": 3}')

        preview = await client.post(f"{ROUTE}/preview", json={"client_name": "claude-code"})
        shown = await connect(client, "claude-code")
        written = json.loads((home / ".claude.json").read_text())
        await client.delete(f"{ROUTE}/claude-code/disconnect")

        assert (await preview.json())["command"] == [
            *(
                str(program),
                "mcp",
                "add",
                "--scope",
                "user",
                "--transport",
                "http",
                "archestra",
                f"{URL}/mcp",
            ),
            *("--header", "X-Client-Name: claude-code"),
        ]
        assert not shown["is_drifted"]
        assert (written["writtenBy"], written["numStartups"]) == ("claude", 3)
        assert written["mcpServers"]["archestra"]["url"] == f"{URL}/mcp"
        left = json.loads((home / ".claude.json").read_text())
        assert not left.get("mcpServers")

    @pytest.fixture
    def environment(self, environment: dict[str, str], request: pytest.FixtureRequest) -> dict[str, str]:
        return {**environment, **getattr(request, "param", {})}

    @pytest.mark.parametrize("environment", [{"FAKE_CLAUDE": "forgetful"}], indirect=True)
    async def test_the_file_is_written_when_the_command_does_not(
        self, client: Client, home: Path, program: Path
    ) -> None:
        shown = await connect(client, "claude-code")

        assert not shown["is_drifted"]
        assert "archestra" in servers_in(home / ".claude.json")

    async def test_without_the_program_the_file_is_written(self, client: Client, home: Path) -> None:
        (home / ".claude.json").write_text('{"numStartups": 3}')

        await connect(client, "claude-code")
        written = json.loads((home / ".claude.json").read_text())
        await client.delete(f"{ROUTE}/claude-code/disconnect")

        assert written["mcpServers"]["archestra"]["type"] == "http"
        assert (home / ".claude.json").read_text() == '{"numStartups": 3}'


@pytest.mark.parametrize("security", [SecurityConfig(require_token=True)])
class TestWhereTokensAreOn:
    @pytest.fixture
    def owner(self, client: Client) -> dict[str, str]:
        return {"Authorization": f"Bearer {client.app[keys.TOKEN]}"}

    async def connected(self, client: Client, name: str, owner: dict[str, str]) -> None:
        answer = await client.post(f"{ROUTE}/connect", json={"client_name": name}, headers=owner)
        assert answer.status == 200, await answer.text()

    async def test_a_client_gets_its_own_and_may_not_administer(
        self, client: Client, cursor: Path, owner: dict[str, str]
    ) -> None:
        await self.connected(client, "cursor", owner)
        await self.connected(client, "kiro", owner)
        token = servers_in(cursor)["archestra"]["headers"]["Authorization"]
        of_client = {"Authorization": token}

        answers = [
            await client.get("/api/mcp_server", headers=of_client),
            await client.delete("/api/mcp_server/filesystem-server", headers=of_client),
            await client.get("/api/mcp_server"),
        ]
        await client.delete(f"{ROUTE}/cursor/disconnect", headers=owner)
        afterwards = await client.get("/api/mcp_server", headers=of_client)

        assert token != owner["Authorization"]
        assert [answer.status for answer in answers] == [200, 403, 401]
        assert afterwards.status == 401

    async def test_what_is_pasted_says_where_the_token_comes_from(
        self, client: Client, owner: dict[str, str]
    ) -> None:
        answer = await client.get(f"{ROUTE}/supported", headers=owner)
        snippet = (await answer.json())["snippets"][0]

        entry = json.loads(snippet["text"])["mcpServers"]["archestra"]
        assert entry["headers"] == {"Authorization": "Bearer TOKEN"}
        assert "archestra-gateway token --limited" in snippet["where"]

    async def test_it_is_not_shown(self, client: Client, cursor: Path, owner: dict[str, str]) -> None:
        await self.connected(client, "cursor", owner)
        token = servers_in(cursor)["archestra"]["headers"]["Authorization"].removeprefix("Bearer ")

        shown = await client.get(f"{ROUTE}/cursor", headers=owner)
        wanted = {"client_name": "cursor", "operation": "disconnect"}
        preview = await client.post(f"{ROUTE}/preview", json=wanted, headers=owner)

        assert token not in await shown.text()
        assert token not in await preview.text()
        assert "[redacted]" in await preview.text()

    async def test_it_never_stands_on_a_command_line(
        self, client: Client, home: Path, owner: dict[str, str]
    ) -> None:
        program = home / "bin" / "claude"
        shutil.copy(FAKE_CLAUDE, program)
        program.chmod(0o755)

        await self.connected(client, "claude-code", owner)

        written = json.loads((home / ".claude.json").read_text())
        assert "writtenBy" not in written
        assert "Authorization" in written["mcpServers"]["archestra"]["headers"]


async def until(is_so: Any) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.01)

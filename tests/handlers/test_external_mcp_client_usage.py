"""What the request log has of a connected program, and what is written when there is no address."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from archestra_gateway.app import create_app
from archestra_gateway.config import Config, SecurityConfig, ServerConfig

Client = TestClient[web.Request, web.Application]

ROUTE = "/api/external_mcp_client"
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
VERSION = "io.modelcontextprotocol/protocolVersion"


def opening(name: str) -> dict[str, Any]:
    info = {"name": name, "version": "1"}
    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": info}
    return {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}


async def tools(client: Client, headers: dict[str, str]) -> list[str]:
    answer = await client.post("/mcp", json=LIST, headers=headers)
    return [tool["name"] for tool in (await answer.json())["result"]["tools"]]


@pytest.fixture
def security() -> SecurityConfig:
    return SecurityConfig()


@pytest.fixture
def base_url() -> str:
    return "http://localhost:54587"


@pytest.fixture
def config(tmp_path: Path, security: SecurityConfig, base_url: str) -> Config:
    server = ServerConfig(port=0, base_url=base_url, data_dir=tmp_path / "data")
    return Config(server=server, security=security)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "home" / ".cursor").mkdir(parents=True)
    return tmp_path / "home" / ".cursor" / "mcp.json"


@pytest.fixture
def app(config: Config, file: Path) -> web.Application:
    home = str(file.parent.parent)
    return create_app(config, {"HOME": home, "PATH": os.defpath, "SHELL": "/bin/false"})


async def connect(client: Client, name: str, headers: dict[str, str] | None = None, **config: Any) -> Any:
    body = {"client_name": name, **({"config": config} if config else {})}
    return await client.post(f"{ROUTE}/connect", json=body, headers=headers)


async def usage(client: Client, name: str, headers: dict[str, str] | None = None) -> tuple[int, bool]:
    """Requests, and whether it was seen."""
    await client.get("/api/mcp_request_log", headers=headers)  # what waits is written first
    shown = await (await client.get(f"{ROUTE}/{name}", headers=headers)).json()
    return shown["requests"], shown["last_seen_at"] is not None


async def test_a_program_that_never_came_was_not_seen(client: Client) -> None:
    await connect(client, "cursor")

    assert await usage(client, "cursor") == (0, False)


async def test_what_it_asked_is_counted(client: Client, file: Path) -> None:
    await connect(client, "cursor")
    headers = json.loads(file.read_text())["mcpServers"]["archestra"]["headers"]

    for _ in range(3):
        await client.post("/mcp_proxy/filesystem-server", json=PING, headers=headers)
    await client.post("/mcp_proxy/filesystem-server", json=PING)

    log = await (await client.get("/api/mcp_request_log?client_name=cursor")).json()
    shown = await (await client.get(f"{ROUTE}/cursor")).json()
    assert log["total"] == 3
    assert (shown["requests"], shown["last_seen_at"]) == (3, log["data"][0]["timestamp"])


async def test_a_name_of_any_letters_is_found(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "home" / "own.json"
    await connect(client, "Мой клиент", path=str(path), format="json")
    headers = json.loads(path.read_text())["mcpServers"]["archestra"]["headers"]

    await client.post("/mcp_proxy/filesystem-server", json=PING, headers=headers)

    assert headers["X-Client-Name"].isascii()
    assert await usage(client, "Мой клиент") == (1, True)


@pytest.mark.parametrize("path", ["/mcp", "/mcp_proxy/filesystem-server"])
async def test_a_program_that_sends_no_header_is_known_by_its_messages(client: Client, path: str) -> None:
    await connect(client, "cursor")

    opened = await client.post(path, json=opening("cursor-vscode"))
    session = {"Mcp-Session-Id": opened.headers["Mcp-Session-Id"]}
    await client.post(path, json=LIST, headers=session)
    await client.post(path, json=opening("cursor-impostor"))

    assert await usage(client, "cursor") == (2, True)


async def test_a_program_of_the_new_era_is_known_by_each_message(client: Client) -> None:
    await connect(client, "cursor", servers=[])
    meta = {
        VERSION: "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "cursor-vscode", "version": "1"},
    }
    message = {**LIST, "params": {"_meta": meta}}
    headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"}

    answer = await (await client.post("/mcp", json=message, headers=headers)).json()

    names = [tool["name"] for tool in answer["result"]["tools"]]
    assert "get_context" in names
    assert not [name for name in names if name.startswith("filesystem-server")]
    assert await usage(client, "cursor") == (1, True)


async def test_a_program_that_two_rows_could_be_is_neither(client: Client) -> None:
    await connect(client, "cline")
    await connect(client, "cline-cli")

    await client.post("/mcp_proxy/filesystem-server", json=opening("Cline"))

    assert await usage(client, "cline") == await usage(client, "cline-cli") == (0, False)


@pytest.mark.parametrize("headers", [{"X-Client-Name": "cursor"}, {}])
async def test_a_program_sees_its_servers_and_administers_nothing(
    client: Client, headers: dict[str, str]
) -> None:
    await connect(client, "cursor", servers=[])
    message = {**LIST, "method": "tools/call", "params": {"name": "stop_mcp_server", "arguments": {}}}
    message["params"]["arguments"] = {"name": "filesystem-server"}

    opened = await client.post("/mcp", json=opening("cursor-vscode"), headers=headers)
    session = {"Mcp-Session-Id": opened.headers["Mcp-Session-Id"], **headers}
    seen, everything = await tools(client, session), await tools(client, {})
    refused = await (await client.post("/mcp", json=message, headers=session)).json()
    hidden = await client.post("/mcp_proxy/filesystem-server", json=opening("cursor-vscode"), headers=headers)

    assert {"stop_mcp_server", "filesystem-server__read_file"} <= set(everything)
    assert {"stop_mcp_server", "filesystem-server__read_file"} & set(seen) == set()
    assert "may not administer" in refused["result"]["content"][0]["text"]
    assert (await hidden.json())["error"]["data"]["error"]["code"] == "RESOURCE_NOT_FOUND"


@pytest.mark.parametrize("security", [SecurityConfig(require_token=True)])
async def test_its_token_names_it_whatever_it_calls_itself(
    client: Client, config: Config, file: Path
) -> None:
    owner = {"Authorization": f"Bearer {(config.server.data_dir / 'token').read_text().strip()}"}
    await connect(client, "cursor", owner)
    headers = json.loads(file.read_text())["mcpServers"]["archestra"]["headers"]

    disguised = {**headers, "X-Client-Name": "somebody else"}
    answer = await client.post("/mcp_proxy/filesystem-server", json=PING, headers=disguised)

    assert answer.status == 200
    assert await usage(client, "cursor", owner) == (1, True)


@pytest.mark.parametrize("base_url", ["http://localhost:0", ""])
async def test_an_address_without_a_port_is_not_written(client: Client, file: Path) -> None:
    refused = await connect(client, "cursor")
    by_command = await connect(client, "junie")

    assert refused.status == 409
    assert "give server.base_url a port, or none" in await refused.text()
    assert not file.exists()
    assert by_command.status == 200

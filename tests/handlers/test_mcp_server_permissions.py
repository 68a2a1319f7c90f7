"""What a person grants an MCP server over the API, and what it is refused."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

URL = "/api/mcp_server"
HOSTILE = Path(__file__).parent.parent / "fakes" / "hostile_mcp_server.py"
NOTHING = {
    "sandbox": "on",
    "tool_changes": "hold",
    "read_only": [],
    "read_write": [],
    "hosts": [],
    "whole_network": False,
    "local_sockets": False,
    "limits": {
        "memory": 2147483648,
        "processes": 256,
        "open_files": 1024,
        "file_size": 1073741824,
        "disk": 4294967296,
    },
}


def config(*args: str) -> dict[str, Any]:
    return {"transport": "stdio", "command": sys.executable, "args": ["-S", "-E", str(HOSTILE), *args]}


async def call(client: TestClient, name: str, tool: str, **arguments: Any) -> Any:
    params = {"name": tool, "arguments": arguments}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    answer = await (await client.post(f"/mcp_proxy/{name}", json=message)).json()
    return json.loads(answer["result"]["content"][0]["text"])


async def test_a_server_is_granted_nothing_by_itself(client: TestClient, install: Any) -> None:
    server = await install("one", config())

    assert server["permissions"] == NOTHING


async def test_a_grant_restarts_what_runs_and_is_kept(
    client: TestClient, install: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "note").write_text("for your eyes")
    await install("one", config())
    assert (await call(client, "one", "read", path=str(folder / "note"))).startswith("refused")

    answer = await client.put(f"{URL}/one", json={"permissions": {"read_only": [str(folder)]}})
    changed = await answer.json()

    assert changed["status"]["state"] == "running"
    assert changed["permissions"] == {**NOTHING, "read_only": [str(folder)]}
    assert await call(client, "one", "read", path=str(folder / "note")) == "for your eyes"
    assert (await call(client, "one", "write", path=str(folder / "new"))).startswith("refused")


@pytest.mark.parametrize(
    ("permissions", "sentence"),
    [
        ({"read_only": ["docs"]}, "must be an absolute path"),
        ({"read_write": ["/"]}, "can not be granted whole"),
        ({"read_only": ["/home"]}, "can not be granted whole"),
        ({"hosts": ["https://example.com"]}, "must be `host:port`"),
        ({"limits": {"processes": 1}}, "must be at least 4"),
        ({"sandbox": "maybe"}, "sandbox"),
        ({"everything": True}, "everything"),
    ],
)
async def test_a_grant_that_makes_no_sense_is_a_sentence(
    client: TestClient, permissions: dict[str, Any], sentence: str
) -> None:
    wanted = {"name": "one", "server_config": config(), "permissions": permissions}

    answer = await client.post(URL, json=wanted)

    assert answer.status == 422
    assert sentence in await answer.text()


async def test_refusals_are_shown_with_the_grant_that_would_allow_them(
    client: TestClient, install: Any
) -> None:
    await install("one", config(), hosts=["localhost:9"])
    await call(client, "one", "connect", host="api.example.com", port=443)
    await call(client, "one", "connect", host="api.example.com", port=443)

    (denial,) = (await (await client.get(f"{URL}/one/denials")).json())["denials"]

    assert (denial["endpoint"], denial["grant"], denial["count"]) == (
        "api.example.com:443",
        "api.example.com:443",
        2,
    )
    assert denial["reason"] == "It is not among the server's hosts"


async def test_a_run_that_learns_proposes_permissions(client: TestClient, tmp_path: Path) -> None:
    script = tmp_path / "curious.py"
    script.write_text(
        "import socket, sys\n"
        "try:\n    socket.create_connection(('api.example.com', 443), 3).recv(1)\n"
        "except OSError as error:\n    sys.exit(f'no network: {error}')\n"
    )
    wanted = {
        "transport": "stdio",
        "command": sys.executable,
        "args": ["-S", "-E", str(script), str(tmp_path)],
    }
    await client.post(URL, json={"name": "curious", "server_config": wanted})

    answer = await client.post(f"{URL}/curious/learn")
    learned = await answer.json()

    assert answer.status == 200
    assert "no network" in learned["error"]
    assert learned["permissions"] == {
        **NOTHING,
        "hosts": ["api.example.com:443"],
        "read_only": [str(tmp_path)],
    }
    assert (await (await client.get(f"{URL}/curious")).json())["permissions"] == NOTHING


async def test_nothing_is_learned_of_a_server_that_runs_without(client: TestClient, install: Any) -> None:
    await install("free", config(), sandbox="off")

    answer = await client.post(f"{URL}/free/learn")

    assert answer.status == 400
    assert "runs without the sandbox" in await answer.text()


async def test_the_built_in_server_runs_confined_and_reads_tmp(client: TestClient, tmp_path: Path) -> None:
    own = Path("/tmp") / f"{tmp_path.name}.txt"
    own.write_text("documented")
    files = tmp_path / "data" / "files"
    params = {"name": "write_file", "arguments": {"path": str(files / "kept.txt"), "content": "kept"}}
    read = {"name": "read_file", "arguments": {"path": str(own)}}
    try:
        answers = [
            await (
                await client.post(
                    "/mcp_proxy/filesystem-server",
                    json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": each},
                )
            ).text()
            for each in (read, params)
        ]
    finally:
        own.unlink()

    assert "documented" in answers[0]
    assert (files / "kept.txt").read_text() == "kept"
    status = await (await client.get("/api/status")).json()
    assert status["sections"]["sandbox"]["mechanism"] == "bubblewrap"


async def test_a_removed_server_leaves_no_home(client: TestClient, install: Any, tmp_path: Path) -> None:
    await install("one", config())
    await call(client, "one", "write", path="/home/mcp/note")
    home = tmp_path / "data" / "servers" / "one" / "home"
    assert (await asyncio.to_thread((home / "note").read_text)) == "mine"

    await client.delete(f"{URL}/one")

    assert not home.parent.exists()


@pytest.mark.parametrize(("sandbox", "home"), [("on", "/home/mcp"), ("off", os.environ["HOME"])])
async def test_a_variable_names_the_servers_own_home(
    client: TestClient, install: Any, fake: Any, sandbox: str, home: str
) -> None:
    await install("one", fake(env={"MEMORY": "${home}/memory.jsonl"}), sandbox=sandbox)
    params = {"name": "environment", "arguments": {}}

    answer = await client.post(
        "/mcp_proxy/one", json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    )

    (text,) = (await answer.json())["result"]["content"]
    seen = json.loads(text["text"])["env"]
    assert (seen["MEMORY"], seen["HOME"]) == (f"{home}/memory.jsonl", home)

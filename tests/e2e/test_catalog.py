"""Finding and installing MCP servers from the command line."""

import json
import os
import pty
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
KEY = "hush-hush-1234"


@pytest.fixture(autouse=True)
def no_registry(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[catalog]\nregistry_url = ""\n')
    environment["ARCHESTRA_CONFIG"] = str(tmp_path / "config.toml")


def installed(daemon: Any) -> dict[str, Any]:
    with daemon.request("/api/mcp_server") as answer:
        return {each["name"]: each for each in json.load(answer) if each["name"] != "filesystem-server"}


def test_from_a_search_to_a_server_that_runs(start, run, tmp_path) -> None:
    daemon = start()

    found = run("catalog", "search", "brave")
    shown = run("catalog", "show", "filesystem")
    refused = run("catalog", "install", "filesystem")
    missing = run("catalog", "install", "filesystem", "--input", f"folders={tmp_path}")
    done = run("catalog", "install", "filesystem", "--input", f"folders={tmp_path}", "--yes", "--later")

    assert found.stdout == "brave-search  Search the web, news, images and places with Brave.\n"
    assert shown.stdout.splitlines() == [
        "Files: Read, write, search and move files in the folders that you choose.",
        "  runs      npx -y @modelcontextprotocol/server-filesystem '${input:folders}'",
        "  changes   ${input:folders}",
        "  reaches   nothing on the network",
        "  asks for  folders: The folders that it may read and change, with everything in them. "
        "(folder, one or more)",
    ]
    assert refused.returncode == 1
    assert "--input NAME=VALUE:\n  folders: The folders" in refused.stderr
    assert "--yes installs what is shown" in missing.stderr
    assert f"  changes   {tmp_path}\n" in missing.stdout
    assert done.stdout.endswith("filesystem is added.\n")
    assert installed(daemon).keys() == {"filesystem"}


@pytest.mark.timeout(300)
def test_its_package_is_brought_and_what_was_brought_is_told(start, run) -> None:
    daemon = start()

    done = run("catalog", "install", "time", "--yes", "--name", "clock", timeout=300)
    again = run("catalog", "install", "uvx mcp-server-time@0.0.0.1", "--yes", timeout=300)

    assert re.search(r"^  version [\d.]+, \d+ packages with hashes", done.stdout, re.MULTILINE)
    assert "downloading" in done.stderr
    with daemon.request("/api/mcp_server/clock/tools") as answer:
        assert {each["name"] for each in json.load(answer)["tools"]} == {"convert_time", "get_current_time"}
    assert again.returncode == 1
    assert "0.0.0.1" in again.stderr


def test_every_kind_of_thing_is_understood(start, run, tmp_path) -> None:
    daemon = start()
    (tmp_path / "config.json").write_text('{"mcpServers": {"one": {"command": "one-server"}}, /* me */ }')
    (tmp_path / "server.json").write_text(
        json.dumps(
            {
                "name": "io.github.me/two",
                "description": "Two",
                "version": "1.0.0",
                "remotes": [{"type": "streamable-http", "url": "https://two.example.com/mcp"}],
            }
        )
    )
    manifest = {
        "manifest_version": "0.2",
        "name": "three",
        "version": "1.0.0",
        "description": "Three",
        "author": {"name": "Me"},
        "server": {
            "type": "node",
            "entry_point": "x.js",
            "mcp_config": {"command": "node", "args": ["x.js"]},
        },
    }
    with zipfile.ZipFile(tmp_path / "three.mcpb", "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr("x.js", "")

    things = [
        str(tmp_path / "config.json"),
        str(tmp_path / "server.json"),
        str(tmp_path / "three.mcpb"),
        "npx -y four-mcp --flag",
        "https://mcp.five.com/mcp",
        "time",
    ]
    ends = [run("catalog", "install", thing, "--yes", "--later") for thing in things]
    container = run("catalog", "install", "docker run -i --rm mcp/fetch", "--yes")

    assert [each.stderr for each in ends] == [""] * 6
    servers = installed(daemon)
    assert servers.keys() == {"one", "two", "three", "four", "five", "time"}
    assert servers["two"]["server_config"]["url"] == "https://two.example.com/mcp"
    assert (container.returncode, "install `fetch`" in container.stderr) == (1, True)


def test_what_is_missing_is_asked_for_at_the_terminal(start, environment) -> None:
    daemon = start()
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "archestra_gateway", "catalog", "install", "brave-search", "--later"]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=ROOT, start_new_session=True
    ) as process:
        os.close(theirs)
        said = read_until(ours, b"API key: ")
        os.write(ours, f"{KEY}\n".encode())
        said += read_until(ours, b"Install? [y/N]: ")
        os.write(ours, b"y\n")
        said += read_until(ours, b"is added.")
        assert process.wait(20) == 0
    os.close(ours)

    assert KEY.encode() not in said
    assert b"stores    the secret brave-search.api_key" in said
    with daemon.request("/api/secret") as answer:
        assert [each["name"] for each in json.load(answer)] == ["brave-search.api_key"]


def read_until(terminal: int, ending: bytes) -> bytes:
    said = b""
    while ending not in said:
        said += os.read(terminal, 4096)
    return said


def test_a_secret_comes_from_a_file_and_stands_in_no_process_list(start, run, tmp_path) -> None:
    start()
    (tmp_path / "key").write_text(f"{KEY}\n")

    done = run(
        "catalog",
        "install",
        "brave-search",
        "--input",
        f"api_key=@{tmp_path}/key",
        "--yes",
        "--later",
        "--json",
    )

    assert json.loads(done.stdout)["servers"][0]["secrets"] == ["brave-search.api_key"]
    assert KEY not in done.stdout


def test_what_does_not_exist_is_said(start, run) -> None:
    start()

    assert "no such server in the catalog" in run("catalog", "install", "no-such-server").stderr
    assert "registry_url is empty" in run("catalog", "refresh").stderr
    assert "must be NAME=VALUE" in run("catalog", "install", "time", "--input", "x").stderr

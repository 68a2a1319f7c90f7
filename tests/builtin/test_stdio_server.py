"""The protocol that a client hears, whatever the tools do."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import ClientSession, StdioServerParameters, stdio_client

from archestra_gateway.builtin.stdio_server import VERSIONS, lines


@pytest.mark.parametrize("version", VERSIONS)
def test_the_version_that_is_asked_for_is_spoken(child: Any, version: str) -> None:
    result = child.request("initialize", protocolVersion=version, capabilities={}, clientInfo={})["result"]

    assert result["protocolVersion"] == version
    assert result["serverInfo"]["name"] == "filesystem-server"
    assert result["capabilities"] == {"tools": {}}


def test_another_version_is_answered_with_the_latest(child: Any) -> None:
    assert (
        child.request("initialize", protocolVersion="1999-01-01")["result"]["protocolVersion"] == VERSIONS[-1]
    )


def test_a_tool_can_be_called_with_nothing_before_it(child: Any, folder: Path) -> None:
    (folder / "data.txt").write_text("hello")

    answer = child.request("tools/call", name="read_file", arguments={"path": str(folder / "data.txt")})

    assert answer == {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "hello"}]}}


@pytest.mark.parametrize(
    ("line", "number", "identity"),
    [
        (b'{"jsonrpc":"2.0","id":7,"method":"resources/list"}', -32601, 7),
        (b'{"jsonrpc":"2.0","id":"a","method":"server/discover"}', -32601, "a"),
        (b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"format_disk"}}', -32602, 7),
        (b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":[]}', -32602, 7),
        (
            b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read_file","arguments":3}}',
            -32602,
            7,
        ),
        (b'{"jsonrpc":"2.0","id":7,"method":"initialize","params":{}}', -32602, 7),
        (b'{"jsonrpc":"2.0","id":7}', -32600, 7),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600, None),
        (b'[{"jsonrpc":"2.0","id":7,"method":"ping"}]', -32600, None),
        (b'"ping"', -32600, None),
        (b'{"jsonrpc":', -32700, None),
        (b"\xff\xfe", -32700, None),
        (b"[" * 100_000, -32700, None),
    ],
)
def test_what_can_not_be_done_is_an_error_and_the_next_call_works(
    child: Any, line: bytes, number: int, identity: str | int | None
) -> None:
    child.send(line)

    refused = child.receive()

    assert (refused["error"]["code"], refused["id"]) == (number, identity)
    assert child.request("ping") == {"jsonrpc": "2.0", "id": 1, "result": {}}


def test_notifications_and_answers_are_not_answered(child: Any) -> None:
    child.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
    child.send(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9}}')
    child.send(b'{"jsonrpc":"2.0","id":9,"result":{}}')
    child.send(b"")

    assert child.request("ping")["result"] == {}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "path is missing."),
        ({"path": 3}, "path must be of type string."),
        ({"path": "a", "limit": True}, "limit must be of type integer."),
        ({"path": "a", "offset": -1}, "offset must be at least 0."),
        ({"path": "a", "limit": 10**9}, "limit must be at most 8388608."),
        ({"path": "a", "encoding": "latin-1"}, "encoding must be one of utf-8, base64."),
        ({"path": "a", "head": 3}, "head is not known here; there are path, encoding, offset, limit."),
    ],
)
def test_arguments_that_do_not_fit_are_told_to_the_model(
    child: Any, arguments: dict[str, Any], sentence: str
) -> None:
    assert child.refusal("read_file", **arguments) == sentence


def test_a_line_that_is_too_long_is_thrown_away_and_the_next_one_is_read() -> None:
    source = io.BytesIO(b"x" * 25 + b"\n" + b"short\n" + b"y" * 10 + b"\n" + b"last")

    assert list(lines(source, limit=10)) == [None, b"short\n", None, b"last"]


def test_each_tool_says_whether_it_only_reads(child: Any) -> None:
    tools = child.request("tools/list")["result"]["tools"]

    assert {tool["name"]: tool["annotations"]["readOnlyHint"] for tool in tools} == {
        "read_file": True,
        "write_file": False,
        "list_directory": True,
        "search_files": True,
        "file_info": True,
    }


async def test_the_official_client_finds_its_way(folder: Path, tmp_path: Path) -> None:
    (folder / "notes.md").write_text("# Notes\n")
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "archestra_gateway.builtin.filesystem", "--read-only", str(folder)],
    )

    async with stdio_client(parameters) as (source, target), ClientSession(source, target) as session:
        await session.initialize()
        tools = (await session.list_tools()).tools
        listed = await session.call_tool("list_directory", {})
        refused = await session.call_tool("write_file", {"path": "a", "content": ""})

    assert [tool.title for tool in tools][:2] == ["Read a file", "Write a file"]
    assert json.loads(listed.content[0].text) == {  # type: ignore[union-attr]
        "path": str(folder),
        "entries": [{"name": "notes.md", "type": "file", "size": 8}],
        "total": 1,
        "is_cut": False,
    }
    assert refused.is_error

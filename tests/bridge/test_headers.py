"""What MCP wants as HTTP headers beside a message, worked out from the message alone."""

import json
from typing import Any

import pytest

from archestra_gateway.bridge.headers import Session, headers_for
from archestra_gateway.protocol import jsonrpc
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.protocol.modern import plain_header
from archestra_gateway.protocol.parameters import Parameters

SESSION = Session(b"{}", "session-1", "2025-06-18")
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}


def message(method: str, **params: Any) -> Message:
    return jsonrpc.decode(
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    )


def test_before_a_session_there_is_nothing_to_say() -> None:
    assert headers_for(message("initialize"), None) == {}


def test_a_session_is_named_with_its_version() -> None:
    assert headers_for(message("tools/list"), SESSION) == {
        "MCP-Protocol-Version": "2025-06-18",
        "Mcp-Session-Id": "session-1",
    }


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("tools/call", {"name": "echo"}, "echo"),
        ("resources/read", {"uri": "file:///a b"}, "file:///a b"),
        ("tools/list", {"name": "not asked for"}, None),
        ("tools/call", {}, None),
    ],
)
def test_a_new_message_is_repeated_and_needs_no_session(method, params, name) -> None:
    headers = headers_for(message(method, **params, _meta=META), SESSION)

    expected = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
    assert headers == (expected if name is None else {**expected, "Mcp-Name": name})


@pytest.mark.parametrize("name", ["häuser", " padded ", "=?base64?aGk=?=", "a\nb", ""])
def test_what_no_header_can_hold_is_encoded(name) -> None:
    said = headers_for(message("tools/call", name=name, _meta=META), None)["Mcp-Name"]

    assert said.startswith("=?base64?")
    assert plain_header(said) == name


def test_arguments_that_a_tool_wants_as_headers_are_repeated() -> None:
    schema = {
        "type": "object",
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "dry": {"type": "boolean", "x-mcp-header": "Dry"},
            "other": {"type": "string"},
        },
    }
    tools = {"tools": [{"name": "deploy", "inputSchema": schema}, {"name": "look"}]}
    answer = json.dumps({"jsonrpc": "2.0", "id": 1, "result": tools}).encode()
    parameters = Parameters()
    call = message("tools/call", name="deploy", arguments={"region": "eu", "dry": True, "other": "x"})

    before = parameters.headers_for(call)
    parameters.learn(answer, jsonrpc.decode(answer))

    assert before == {}
    assert parameters.headers_for(call) == {"mcp-param-Region": "eu", "mcp-param-Dry": "true"}
    assert parameters.headers_for(message("tools/call", name="deploy", arguments={})) == {}
    assert parameters.headers_for(message("tools/call", name="look", arguments={"region": "eu"})) == {}
    assert parameters.headers_for(message("tools/list")) == {}

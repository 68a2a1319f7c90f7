"""What a request of 2026-07-28 must carry, and what becomes of an old server's answer."""

import json
from typing import Any

import pytest

from archestra_gateway.protocol import jsonrpc, modern
from archestra_gateway.protocol.modern import CAPABILITIES_KEY, PREFIX, SERVER_INFO_KEY, Headers

VERSION = modern.VERSION
META = {f"{PREFIX}protocolVersion": VERSION, CAPABILITIES_KEY: {"sampling": {}}}


def request(method: str, meta: dict[str, Any] | None = META, **params: Any) -> jsonrpc.Message:
    return jsonrpc.request(1, method, params if meta is None else {**params, "_meta": meta})


def headers(method: str, *name: str, version: str = VERSION) -> Headers:
    return Headers((version,), (method,), name)


def test_a_request_tells_what_its_client_can() -> None:
    call = request("tools/call", name="echo")

    envelope = modern.check(headers("tools/call", "echo"), call)

    assert envelope.capabilities == {"sampling": {}}
    assert envelope.client_info is None


@pytest.mark.parametrize(
    ("sent", "message", "number"),
    [
        (headers("ping"), request("ping", None), -32602),
        (headers("ping"), request("ping", {f"{PREFIX}protocolVersion": VERSION}), -32602),
        (headers("ping"), request("ping", {CAPABILITIES_KEY: {}}), -32602),
        (Headers(), request("ping"), -32020),
        (headers("ping", version="2099-01-01"), request("ping"), -32020),
        (headers("pong"), request("ping"), -32020),
        (Headers((VERSION,), ("ping", "ping")), request("ping"), -32020),
        (headers("tools/call"), request("tools/call", name="echo"), -32020),
        (headers("tools/call", "other"), request("tools/call", name="echo"), -32020),
        (headers("tools/call", "=?base64?!?="), request("tools/call", name="echo"), -32020),
        (
            headers("ping", version="2099-01-01"),
            request("ping", {**META, f"{PREFIX}protocolVersion": "2099-01-01"}),
            -32022,
        ),
    ],
)
def test_a_request_that_contradicts_itself_is_refused(
    sent: Headers, message: jsonrpc.Message, number: int
) -> None:
    with pytest.raises(jsonrpc.ProtocolError) as refused:
        modern.check(sent, message)

    assert refused.value.number == number
    assert modern.status(jsonrpc.failure(None, refused.value)) == 400


def test_a_name_that_no_header_can_hold_is_encoded() -> None:
    call = request("resources/read", uri="file:///grün")

    modern.check(headers("resources/read", "=?base64?ZmlsZTovLy9ncsO8bg==?="), call)


@pytest.mark.parametrize(
    ("header", "message", "expected"),
    [
        (None, request("tools/list", None), False),
        (None, request("tools/list"), True),
        ("2025-11-25", request("tools/list"), False),
        (VERSION, request("tools/list", None), True),
        ("2099-01-01", request("tools/list", None), True),
    ],
)
def test_the_era_of_a_message(header: str | None, message: jsonrpc.Message, expected: bool) -> None:
    assert modern.is_modern(header, message) is expected


def test_an_old_result_gets_what_it_lacks_and_keeps_what_it_has() -> None:
    old = msgspec_raw('{"tools":[{"name":"a","x":1.10}],"_meta":{"mine":1},"cacheScope":"public"}')

    new = bytes(modern.result("tools/list", old)).decode()

    assert '{"name":"a","x":1.10}' in new
    assert {key: value for key, value in json.loads(new).items() if key != "tools"} == {
        "resultType": "complete",
        "ttlMs": 0,
        "cacheScope": "public",
        "_meta": {SERVER_INFO_KEY: modern.SERVER_INFO, "mine": 1},
    }


def test_a_question_back_is_not_kept_by_anybody() -> None:
    asked = json.loads(bytes(modern.result("resources/read", msgspec_raw('{"resultType":"input_required"}'))))

    assert asked["resultType"] == "input_required"
    assert "ttlMs" not in asked


def test_a_resource_that_is_not_there_is_an_invalid_parameter() -> None:
    old = jsonrpc.error(jsonrpc.raw(1), -32002, "no such thing")

    new = modern.answer(old, "resources/read", "memory://1")

    assert jsonrpc.value(new["error"]) == {
        "code": -32602,
        "message": "no such thing",
        "data": {"uri": "memory://1"},
    }


def msgspec_raw(text: str) -> Any:
    return jsonrpc.decode(b'{"value":' + text.encode() + b"}")["value"]

"""The shape of every error, promised once: HTTP answer, JSON-RPC error, SSE event."""

import contextlib
import logging
from pathlib import Path
from typing import Any

import pytest

from archestra_gateway import errors
from archestra_gateway.errors import GatewayError
from archestra_gateway.web.envelope import STATUS, refusal


def all_kinds(kind: type[GatewayError] = GatewayError) -> set[type[GatewayError]]:
    return {kind}.union(*(all_kinds(child) for child in kind.__subclasses__()))


def test_every_code_has_a_status() -> None:
    assert {kind.code for kind in all_kinds() if kind.__module__ == errors.__name__} <= set(STATUS)


@pytest.mark.parametrize(
    ("method", "target", "status", "error"),
    [
        ("GET", "/api/fail?conflict", 409,
         {"code": "CONFLICT", "message": "There is one already", "details": {"name": "one"}}),
        ("GET", "/api/fail?later", 429, {"code": "RATE_LIMITED", "message": "Too many requests"}),
        ("GET", "/api/fail", 500, {"code": "INTERNAL_ERROR", "message": "Internal error"}),
        ("GET", "/api/fail?aiohttp", 413,
         {"code": "PAYLOAD_TOO_LARGE", "message": "The request's body is too large"}),
        ("GET", "/nowhere", 404, {"code": "RESOURCE_NOT_FOUND", "message": "There is nothing at /nowhere"}),
        ("PUT", "/api/paint", 405,
         {"code": "METHOD_NOT_ALLOWED",
          "message": "PUT is not possible at /api/paint; it knows GET, HEAD, POST",
          "details": {"allowed": ["GET", "HEAD", "POST"]}}),
    ],
)  # fmt: skip
async def test_an_error_wears_the_envelope(
    floor: Any, method: str, target: str, status: int, error: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    answer = await floor.ask(method, target)

    assert (answer.status, answer.json) == (status, {"error": error})
    assert answer.headers["content-type"].startswith("application/json")


async def test_a_405_names_what_is_allowed(floor: Any) -> None:
    answer = await floor.ask("PUT", "/api/paint")

    assert answer.headers["allow"] == "GET, HEAD, POST"


async def test_a_fault_of_ours_is_logged_whole_and_shown_as_nothing(
    floor: Any, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await floor.ask("GET", "/api/fail")

    assert b"secret" not in answer.body
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert "a secret of ours" in caplog.text


async def test_a_request_has_an_id_of_its_own(floor: Any) -> None:
    ids = {(await floor.ask("GET", "/api/paint")).headers["x-request-id"] for _ in range(3)}

    assert len(ids) == 3
    assert all(len(each) == 32 and int(each, 16) for each in ids)


async def test_on_an_mcp_route_an_error_is_a_json_rpc_error(floor: Any) -> None:
    answer = await floor.ask("POST", "/mcp_proxy/files", b'{"fail":true}')

    assert (answer.status, answer.json) == (
        500,
        {
            "jsonrpc": "2.0",
            "id": None,
            "error": {
                "code": -32603,
                "message": "Internal error",
                "data": {"error": {"code": "INTERNAL_ERROR", "message": "Internal error"}},
            },
        },
    )


async def test_a_refusal_at_the_door_of_an_mcp_route_is_a_json_rpc_error_too(floor: Any) -> None:
    answer = await floor.ask("POST", "/mcp_proxy/files", b"{}", Origin="https://evil.example")

    assert answer.status == 403
    assert answer.json["error"]["data"]["error"]["code"] == "FORBIDDEN_ORIGIN"


def test_who_lacks_a_token_is_told_which_kind() -> None:
    answer = refusal(errors.Unauthorized("Send the token"))

    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_details_that_json_does_not_know_are_shown_as_python_does() -> None:
    assert b"PosixPath" in refusal(errors.Conflict("No", path=Path("/x"))).body  # type: ignore[operator]


async def test_an_answer_that_broke_in_the_middle_never_ends_tidily(floor: Any) -> None:
    async with floor.connect() as (reader, writer):
        writer.write(b"GET /api/broken HTTP/1.1\r\nHost: localhost\r\n\r\n")
        content = b""
        with contextlib.suppress(ConnectionResetError):
            content = await reader.read()

    assert not content.endswith(b"0\r\n\r\n")
    assert b"INTERNAL_ERROR" not in content


@pytest.mark.parametrize(
    "garbage",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_told_so_in_the_envelope(floor: Any, garbage: bytes) -> None:
    answer = await floor.say(garbage)

    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert answer.json["error"]["message"].startswith("This is not an HTTP request: ")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert len(answer.headers["x-request-id"]) == 32


@pytest.mark.parametrize("target", ["/api/paint", "/nowhere"])
async def test_an_unknown_expectation_is_refused_in_the_envelope(floor: Any, target: str) -> None:
    answer = await floor.ask("GET", target, Expect="miracles")

    assert (answer.status, answer.code) == (417, "INVALID_REQUEST")
    assert answer.headers["access-control-allow-origin"] == "*"

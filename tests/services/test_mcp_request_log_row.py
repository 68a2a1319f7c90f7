"""What is stored of a call: readable, bounded, and nobody's secret."""

import json
from typing import Any

import pytest
from multidict import CIMultiDict

from archestra_gateway.log import Redactor
from archestra_gateway.services.mcp_request_log_row import Entry, to_row

KEY = "sk-12345678"


@pytest.fixture
def redactor() -> Redactor:
    redactor = Redactor()
    redactor.replace("llm_provider:openai", [KEY])
    return redactor


def entry(**fields: Any) -> Entry:
    return Entry(
        **{"kind": "mcp", "request_id": "r", "timestamp": 1795569794.123, "server_name": "files", **fields}
    )


def test_a_call_becomes_a_row(redactor: Redactor) -> None:
    client = {"user_agent": "curl/8", "client_name": "cli", "client_version": "1", "client_platform": "linux"}

    row = to_row(
        entry(client_info=client, method="tools/list", status_code=200, duration_ms=8.0), redactor, 100
    )

    assert row == {
        "request_id": "r",
        "kind": "mcp",
        "timestamp": "2026-11-25T01:23:14.123Z",
        "session_id": None,
        "mcp_session_id": None,
        "server_name": "files",
        **client,
        "method": "tools/list",
        "tool_name": None,
        "status_code": 200,
        "error_message": None,
        "duration_ms": 8.0,
        "duration_bucket": 24,
        "request_headers": "{}",
        "request_body": None,
        "request_body_truncated": False,
        "response_headers": "{}",
        "response_body": None,
        "response_body_truncated": False,
    }


@pytest.mark.parametrize(
    ("body", "text", "is_truncated"),
    [
        (b'{"a": 1}', '{"a": 1}', False),
        (b"0123456789", "0123456789", False),
        (b"0123456789a", "0123456789", True),
        (b"123456789\xc3\xa4", "123456789", True),
        (b"\x00\xff", "\x00\ufffd", False),
        (b"", None, False),
    ],
)
def test_a_body_is_kept_up_to_the_limit(
    redactor: Redactor, body: bytes, text: str | None, is_truncated: bool
) -> None:
    row = to_row(entry(request_body=body, response_body=body), redactor, 10)

    for side in ("request", "response"):
        assert (row[f"{side}_body"], row[f"{side}_body_truncated"]) == (text, is_truncated)


def test_a_limit_of_zero_keeps_no_body(redactor: Redactor) -> None:
    row = to_row(entry(request_body=b"{}"), redactor, 0)

    assert (row["request_body"], row["request_body_truncated"]) == (None, True)


def test_no_column_holds_a_secret(redactor: Redactor) -> None:
    leaky = entry(
        session_id=KEY,
        mcp_session_id=KEY,
        client_info={"user_agent": KEY, "client_name": KEY, "client_version": KEY, "client_platform": KEY},
        method=KEY,
        tool_name=KEY,
        error_message=f"401: {KEY}",
        request_headers={"Authorization": "Bearer unknown-token", "X-Note": KEY},
        request_body=f'{{"key": "{KEY}"}}'.encode(),
        response_headers={"Set-Cookie": "session=unknown-token"},
        response_body=f"{'.' * 93}{KEY}".encode(),
    )

    row = to_row(leaky, redactor, 100)

    assert "12345" not in str(row)
    assert "unknown-token" not in str(row)
    assert row["request_body"] == '{"key": "[redacted]"}'
    assert row["response_body"] == "." * 93 + "[redacted]"


def test_a_header_that_came_twice_stands_once(redactor: Redactor) -> None:
    headers = CIMultiDict([("Accept", "a"), ("Accept", "b"), ("X-Odd", "caf\udce9")])

    row = to_row(entry(request_headers=headers), redactor, 100)

    assert json.loads(row["request_headers"]) == {"Accept": "a, b", "X-Odd": "caf?"}


def test_a_thousand_headers_are_not_all_kept(redactor: Redactor) -> None:
    row = to_row(entry(request_headers={f"X-{number}": "v" for number in range(1000)}), redactor, 100)

    kept = json.loads(row["request_headers"])
    assert len(kept) == 101
    assert kept["…"] == "900 more"


def test_odd_text_and_odd_clocks_are_made_storable(redactor: Redactor) -> None:
    odd = entry(method="a\x00b\ud800", session_id="s" * 1000, timestamp=-1e12, duration_ms=-3.0)

    row = to_row(odd, redactor, 100)

    assert row["method"] == "a\x00b?"
    assert row["session_id"] == "s" * 256
    assert row["timestamp"] == "1970-01-01T00:00:00.000Z"
    assert row["duration_ms"] == 0.0

"""JSON-RPC as text: what passes, passes byte for byte."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from archestra_gateway.errors import NotFound, UpstreamTimeout
from archestra_gateway.protocol import jsonrpc
from archestra_gateway.protocol.jsonrpc import InvalidMessage, ParseError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    "text",
    [
        rb'{"a":"\ud800"}',
        rb'{"a":"\ud83d","b":1e999,"c":{"x" : [1.10]}}',
        b'{"a":123456789012345678901234567890,"b":1.0,"c":1E5}',
        '{"a":"ü\u2028","b":{}}'.encode(),
        b'{"a":{"x":\n1}}',
        b"{}",
    ],
)
def test_values_keep_every_byte(text: bytes) -> None:
    assert jsonrpc.encode(jsonrpc.decode(text)) == text


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), JSON), st.sampled_from([None, 1]))
def test_any_object_keeps_its_meaning(value: dict[str, Any], indent: int | None) -> None:
    for text in (json.dumps(value, indent=indent), json.dumps({**value, "half": "\ud800"}, indent=indent)):
        decoded = jsonrpc.decode(text.encode())

        assert json.loads(jsonrpc.encode(decoded)) == json.loads(text)
        assert b"\n" not in jsonrpc.line(decoded)[:-1]


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()[:-1]))
def test_whatever_comes_is_a_message_or_a_clear_error(text: bytes) -> None:
    with contextlib.suppress(ParseError, InvalidMessage):
        jsonrpc.kind(jsonrpc.decode(text))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"", ParseError),
        (b"{", ParseError),
        (b'{"a":1}x', ParseError),
        (b'{"a":01}', ParseError),
        (b'{"a":NaN}', ParseError),
        (rb'{"a":"\ud800",}', ParseError),
        (rb'{"a":"\ud800"}x', ParseError),
        (rb'{"\ud800":1}', ParseError),
        (b'{"a":"\xff"}', ParseError),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", ParseError),
        (b"[1]", InvalidMessage),
        (b"1", InvalidMessage),
    ],
)
def test_what_is_no_object_is_refused(text: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        jsonrpc.decode(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b'{"jsonrpc":"2.0","id":1,"method":"x"}', "request"),
        (b'{"jsonrpc":"2.0","id":"","method":"x"}', "request"),
        (b'{"jsonrpc":"2.0","method":"x"}', "notification"),
        (b'{"jsonrpc":"2.0","id":null,"method":"x"}', "notification"),
        (b'{"jsonrpc":"2.0","id":1,"result":null}', "answer"),
        (b'{"jsonrpc":"2.0","id":1,"error":{}}', "answer"),
    ],
)
def test_the_three_kinds(text: bytes, kind: str) -> None:
    assert jsonrpc.kind(jsonrpc.decode(text)) == kind


def test_a_line_has_one_end() -> None:
    assert jsonrpc.line(jsonrpc.decode(b'{"a":\r\n[1,\n2]}')) == b'{"a":[1, 2]}\n'


@pytest.mark.parametrize(
    ("cause", "number"),
    [
        (ParseError("x"), -32700),
        (InvalidMessage("x"), -32600),
        (NotFound("x", name="y"), -32000),
        (UpstreamTimeout("x"), -32001),
    ],
)
def test_our_errors_carry_the_envelope(cause: Any, number: int) -> None:
    message = jsonrpc.failure(Raw(b'"7"'), cause)

    assert json.loads(jsonrpc.encode(message)) == {
        "jsonrpc": "2.0",
        "id": "7",
        "error": {"code": number, "message": "x", "data": cause.body()},
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"[]", []),
        (b' [ 1.10 , {"a" : 1} ] ', [b"1.10", b'{"a" : 1}']),
        (
            b'["\\ud83d", [1, 2],12345678901234567890123]',
            [b'"\\ud83d"', b"[1, 2]", b"12345678901234567890123"],
        ),
    ],
)
def test_the_elements_of_an_array_stay_as_they_are(text: bytes, expected: list[bytes]) -> None:
    assert [bytes(element) for element in jsonrpc.elements(text)] == expected


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[1", b"[1 2]", b'["\\ud83d",]', b'["\\ud83d"] 1', b"[" * 100_000]
)
def test_what_is_no_array_has_no_elements(text: bytes) -> None:
    with pytest.raises(jsonrpc.ParseError):
        jsonrpc.elements(text)

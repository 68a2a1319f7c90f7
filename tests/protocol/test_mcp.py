"""The few members of a message that the gateway looks at or changes."""

import pytest
from msgspec import Raw

from archestra_gateway.protocol import mcp

PARAMS = Raw(b'{"name":"x","_meta":{"progressToken": "a","y":1.10},"z":"\\ud800"}')


def test_a_progress_token_is_changed_and_nothing_else() -> None:
    changed = mcp.with_progress_token(PARAMS, 5)

    assert bytes(changed) == b'{"name":"x","_meta":{"progressToken":5,"y":1.10},"z":"\\ud800"}'


def test_a_request_id_is_changed_and_nothing_else() -> None:
    changed = mcp.with_member(Raw(b'{"requestId":"a","reason":1.0}'), "requestId", Raw(b"7"))

    assert bytes(changed) == b'{"requestId":7,"reason":1.0}'


def test_the_progress_token_is_found_in_strange_text_too() -> None:
    assert bytes(mcp.meta(PARAMS)["progressToken"]) == b'"a"'
    assert bytes(mcp.meta(Raw(b'{"_meta":{"progressToken":1}}'))["progressToken"]) == b"1"


@pytest.mark.parametrize(
    "params", [None, Raw(b"[]"), Raw(b"null"), Raw(b'{"_meta":7}'), Raw(b'{"x":"\\"_meta\\""}'), Raw(b"{}")]
)
def test_where_there_is_no_meta_there_is_none(params: Raw | None) -> None:
    assert mcp.meta(params) == {}


@pytest.mark.parametrize(
    ("params", "name"),
    [
        (PARAMS, "x"),
        (Raw(b'{"arguments":{"name":"no"},"name":"yes"}'), "yes"),
        (Raw(b'{"name":7}'), None),
        (Raw(b"[]"), None),
        (None, None),
    ],
)
def test_the_tools_name(params: Raw | None, name: str | None) -> None:
    assert mcp.tool_name(params) == name

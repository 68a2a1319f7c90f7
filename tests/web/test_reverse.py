"""What passes through the relay and what does not."""

import pytest

from archestra_gateway.errors import InvalidRequest
from archestra_gateway.web.reverse import HOP_BY_HOP, NOT_FOR_UPSTREAM, Kept, forwardable, target_below


@pytest.mark.parametrize(
    ("raw", "target"),
    [
        ("/llm/ollama/api/chat", "/api/chat"),
        ("/llm/ollama/", "/"),
        ("/llm/ollama/api/", "/api/"),
        ("/llm/ollama/api/tags?a=%2e%2e/&b=//", "/api/tags?a=%2e%2e/&b=//"),
        ("/llm/ollama/v1/models/a%2Fb", "/v1/models/a%2Fb"),
        ("/llm/ollama/v1/models/claude@20240229", "/v1/models/claude@20240229"),
        ("/llm/ollama/a..b/...", "/a..b/..."),
        ("/llm/ollama/%252e%252e/x", "/%252e%252e/x"),
    ],
)
def test_a_plain_path_passes_to_the_letter(raw: str, target: str) -> None:
    assert target_below(raw, "/llm/ollama") == target


@pytest.mark.parametrize(
    "raw",
    [
        "/llm/ollama",
        "/llm/ollama2/x",
        "http://evil/llm/ollama/x",
        "/llm/ollama/..",
        "/llm/ollama/./x",
        "/llm/ollama/%2E%2E/x",
        "/llm/ollama/x/%2e%2e%2fy",
        "/llm/ollama/x\\..\\y",
        "/llm/ollama//x",
        "/llm/ollama/x//y",
        "/llm/ollama/@evil/x",
    ],
)
def test_a_path_that_two_could_read_differently_is_refused(raw: str) -> None:
    with pytest.raises(InvalidRequest):
        target_below(raw, "/llm/ollama")


@pytest.mark.parametrize("name", sorted(NOT_FOR_UPSTREAM | {"Sec-Fetch-Mode", "sec-ch-ua"}))
def test_these_headers_never_reach_an_upstream(name: str) -> None:
    assert forwardable([(name.title(), "x"), ("Kept", "y")], NOT_FOR_UPSTREAM, "sec-") == [("Kept", "y")]


def test_what_connection_names_is_dropped_as_well() -> None:
    headers = [
        ("Connection", "close, X-One"),
        ("connection", "x-two"),
        ("X-One", "1"),
        ("X-Two", "2"),
        ("X", "3"),
    ]

    assert forwardable(headers, HOP_BY_HOP, "sec-") == [("X", "3")]


@pytest.mark.parametrize(("limit", "kept"), [(0, b""), (3, b"abcd"), (100, b"abcdef")])
def test_one_byte_more_than_the_limit_is_kept(limit: int, kept: bytes) -> None:
    body = Kept(limit)

    for chunk in (b"ab", b"cde", b"f"):
        body.add(chunk)

    assert bytes(body.data) == kept

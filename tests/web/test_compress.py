"""Large answers are compressed where that is worth it; static ones are sent once."""

import gzip
from typing import Any

import pytest

from archestra_gateway.web.compress import accepts_gzip, etag, is_known


async def test_a_large_answer_is_compressed_for_who_can_read_it(floor: Any) -> None:
    plain = await floor.ask("GET", "/api/large")
    packed = await floor.ask("GET", "/api/large", Accept_Encoding="br, gzip")

    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 4


@pytest.mark.parametrize(
    ("method", "target", "content"),
    [("GET", "/api/paint", None), ("GET", "/api/stream", None), ("POST", "/llm/ollama/x", b"x" * 50_000)],
)
async def test_small_answers_streams_and_relays_pass_as_they_are(
    floor: Any, method: str, target: str, content: bytes | None
) -> None:
    answer = await floor.ask(method, target, content, Accept_Encoding="gzip")

    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP;q=0.5, br", True),
        ("br, *", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0", False),
        ("identity", False),
        ("x-gzip-not", False),
    ],
)
def test_what_a_client_accepts(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


async def test_a_static_answer_that_the_client_has_is_not_sent_again(floor: Any) -> None:
    first = await floor.ask("GET", "/api/page", Accept_Encoding="gzip")
    again = await floor.ask("GET", "/api/page", If_None_Match=first.headers["etag"])
    other = await floor.ask("GET", "/api/page", If_None_Match='"another"')

    assert (first.status, again.status, other.status) == (200, 304, 200)
    assert again.body == b""
    assert again.headers["etag"] == other.headers["etag"] == first.headers["etag"].removeprefix("W/")


@pytest.mark.parametrize(
    ("header", "known"),
    [("{}", True), ("W/{}", True), ('"x", {}', True), ("*", True), ('"x"', False), ("", False)],
)
def test_tags_compare_weakly(header: str, known: bool) -> None:
    tag = etag(b"content")

    assert is_known(tag, header.format(tag)) is known

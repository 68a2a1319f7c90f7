"""Streams cut into lines and events, wherever the pieces end."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archestra_gateway.protocol.lines import Lines, LongLineError
from archestra_gateway.protocol.sse import Events


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


@given(st.lists(st.binary().map(lambda line: line.replace(b"\n", b""))), st.lists(st.integers(0, 1000)))
def test_lines_are_the_same_however_they_are_cut(lines: list[bytes], cuts: list[int]) -> None:
    splitter = Lines(100_000)

    found = [
        line
        for piece in pieces(b"".join(line + b"\n" for line in lines), cuts)
        for line in splitter.feed(piece)
    ]

    assert found == lines


@pytest.mark.parametrize(
    "pieces", [[b"x" * 11], [b"x" * 6, b"x" * 5], [b"x" * 11 + b"\n"], [b"x" * 6, b"x" * 5 + b"\n"]]
)
def test_a_line_beyond_the_limit_is_refused(pieces: list[bytes]) -> None:
    *first, last = pieces
    splitter = Lines(10)
    for piece in first:
        assert splitter.feed(piece) == []

    with pytest.raises(LongLineError):
        splitter.feed(last)


@given(st.lists(st.integers(0, 1000)), st.sampled_from([b"\n", b"\r\n"]))
def test_events_are_the_same_however_they_are_cut(cuts: list[int], end: bytes) -> None:
    text = end.join(
        [
            b": comment",
            b"",
            b"event: message",
            b"id: 1",
            b"data: one",
            b"",
            b"data:two",
            b"data: lines",
            b"",
            b"data",
            b"",
        ]
    )
    events = Events(1000)

    assert [data for piece in pieces(text, cuts) for data in events.feed(piece)] == [b"one", b"two\nlines"]


def test_an_event_beyond_the_limit_is_refused() -> None:
    events = Events(12)
    events.feed(b"data: 123456\ndata: 12345\n")

    with pytest.raises(LongLineError):
        events.feed(b"data: 12\n")

"""How long a server may ask to be left alone."""

import pytest

from archestra_gateway.upstreams.backoff import LONGEST_ASKED, Pauses, retry_after

NOW = 1_445_412_000.0
"""Wed, 21 Oct 2015 07:20:00 GMT"""


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("86400", LONGEST_ASKED),
        ("9" * 400, LONGEST_ASKED),
        ("Wed, 21 Oct 2015 07:21:30 GMT", 90.0),
        ("Wednesday, 21-Oct-15 07:21:30 GMT", 90.0),
        ("Wed Oct 21 07:21:30 2015", 90.0),
        ("Wed, 21 Oct 2015 07:00:00 GMT", 0.0),
        ("Fri, 21 Oct 2095 07:00:00 GMT", LONGEST_ASKED),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
    ],
)
def test_both_forms_are_understood_within_reason(said: str | None, seconds: float | None) -> None:
    assert retry_after(said, NOW) == seconds


def test_a_pause_is_at_least_what_was_asked_for() -> None:
    assert Pauses().next(100.0) == 100.0
    assert Pauses().next(10_000.0) == LONGEST_ASKED
    assert Pauses().next(None) < 1.0

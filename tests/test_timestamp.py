import pytest

from archestra_gateway import timestamp


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("2026-11-25T01:23:14.123Z", "2026-11-25T01:23:14.123Z"),
        ("2026-11-25T01:23:14.1239+02:00", "2026-11-24T23:23:14.123Z"),
        ("2026-11-25T01:23", "2026-11-25T01:23:00.000Z"),
        ("2026-11-25", "2026-11-25T00:00:00.000Z"),
    ],
)
def test_moments_have_one_form(given: str, text: str) -> None:
    assert timestamp.normalised(given) == text


@pytest.mark.parametrize("given", ["", "yesterday", "2026-13-01", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_moment_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        timestamp.normalised(given)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1795569794.123, "2026-11-25T01:23:14.123Z"),
        (-5.0, "1970-01-01T00:00:00.000Z"),
        (1e300, "9999-12-31T23:59:59.000Z"),
    ],
)
def test_a_wrong_clock_still_gives_a_moment(seconds: float, text: str) -> None:
    assert timestamp.from_seconds(seconds) == text

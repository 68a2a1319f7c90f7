"""Sums and percentiles out of buckets."""

import random
import statistics
from collections import Counter

import pytest

from archestra_gateway.services.mcp_request_log_stats import bucket_of, middle_of, percentile, summarise


@pytest.mark.parametrize("duration", [0.011, 0.3, 1.0, 7.7, 250.0, 59_999.0, 1_800_000.0])
def test_a_bucket_stands_for_what_lies_in_it(duration: float) -> None:
    assert middle_of(bucket_of(duration)) == pytest.approx(duration, rel=0.045)


@pytest.mark.parametrize("share", [0.50, 0.95, 0.99])
def test_percentiles_are_within_five_percent(share: float) -> None:
    chance = random.Random(1)
    durations = [chance.lognormvariate(3, 1.5) for _ in range(20_000)]

    found = percentile(Counter(bucket_of(duration) for duration in durations), share)

    assert found == pytest.approx(statistics.quantiles(durations, n=100)[round(share * 100) - 1], rel=0.05)


def test_cells_add_up() -> None:
    assert summarise(
        [
            {"server_name": "a", "is_error": 0, "duration_bucket": 0, "count": 3, "duration_ms": 3.0},
            {"server_name": "b", "is_error": 1, "duration_bucket": 80, "count": 1, "duration_ms": 1000.0},
            {"server_name": "a", "is_error": 0, "duration_bucket": 0, "count": 2, "duration_ms": 2.0},
        ]
    ) == {
        "total_requests": 6,
        "success_count": 5,
        "error_count": 1,
        "avg_duration_ms": 167.5,
        "p50_duration_ms": 1.0,
        "p95_duration_ms": 1024.0,
        "p99_duration_ms": 1024.0,
        "requests_per_server": {"a": 5, "b": 1},
    }


def test_nothing_adds_up_to_nothing() -> None:
    assert summarise([])["avg_duration_ms"] == 0
    assert summarise([])["p99_duration_ms"] == 0

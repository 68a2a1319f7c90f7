"""Durations in logarithmic buckets, and what many calls add up to. Pure."""

import math
from collections import Counter
from collections.abc import Iterable
from typing import TypedDict

from archestra_gateway.store.mcp_request_log import Cell

BUCKETS_PER_DOUBLING = 8
"""A bucket's middle is at most 4.5 % away from what lies in it."""
SHORTEST_MS = 0.01


class Stats(TypedDict):
    total_requests: int
    success_count: int
    error_count: int
    avg_duration_ms: float
    p50_duration_ms: float
    p95_duration_ms: float
    p99_duration_ms: float
    requests_per_server: dict[str, int]


def bucket_of(duration_ms: float) -> int:
    return round(math.log2(max(duration_ms, SHORTEST_MS)) * BUCKETS_PER_DOUBLING)


def middle_of(bucket: int) -> float:
    """The duration in ms that a bucket stands for."""
    return float(2 ** (bucket / BUCKETS_PER_DOUBLING))


def summarise(cells: Iterable[Cell]) -> Stats:
    """One answer from sums that were made in several places."""
    outcomes, buckets, servers = Counter[int](), Counter[int](), Counter[str]()
    duration = 0.0
    for cell in cells:
        outcomes[cell["is_error"]] += cell["count"]
        buckets[cell["duration_bucket"]] += cell["count"]
        servers[cell["server_name"]] += cell["count"]
        duration += cell["duration_ms"]
    total = outcomes.total()
    return {
        "total_requests": total,
        "success_count": outcomes[0],
        "error_count": outcomes[1],
        "avg_duration_ms": round(duration / max(total, 1), 3),
        "p50_duration_ms": percentile(buckets, 0.50),
        "p95_duration_ms": percentile(buckets, 0.95),
        "p99_duration_ms": percentile(buckets, 0.99),
        "requests_per_server": dict(servers.most_common()),
    }


def percentile(buckets: Counter[int], share: float) -> float:
    """The duration in ms that `share` of all calls did not exceed, as exact as a bucket is; 0 of none."""
    wanted = math.ceil(buckets.total() * share)
    seen = 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= wanted:
            return round(middle_of(bucket), 3)
    return 0.0

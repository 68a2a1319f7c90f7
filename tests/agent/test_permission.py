"""When a person is asked."""

from typing import Any

import pytest

from archestra_gateway.agent.permission import Permission, decide

DESTROYS = {"destructiveHint": True}
READS = {"readOnlyHint": True}


@pytest.mark.parametrize(
    ("policy", "annotations", "decision"),
    [
        ("destructive", {}, "allow"),
        ("destructive", DESTROYS, "ask"),
        ("destructive", DESTROYS | READS, "allow"),
        ("writes", {}, "ask"),
        ("writes", READS, "allow"),
        ("always", READS, "ask"),
        ("never", DESTROYS, "allow"),
    ],
)
def test_without_a_word_the_policy_decides(policy: str, annotations: dict[str, Any], decision: str) -> None:
    assert decided([], policy, annotations) == decision


SERVER = Permission("s", "", "", "deny")
TOOL = Permission("s", "t", "", "allow")
CHAT = Permission("s", "t", "c", "ask")
SERVER_HERE = Permission("s", "", "c", "allow")


@pytest.mark.parametrize(
    ("given", "decision"),
    [
        ([SERVER], "deny"),
        ([SERVER, TOOL], "allow"),
        ([CHAT, SERVER, TOOL], "ask"),
        ([SERVER, SERVER_HERE], "allow"),
        ([Permission("s", "t", "other", "deny")], "allow"),
        ([Permission("s", "t", "", "deny", definition="old")], "allow"),
        ([Permission("s", "t", "", "deny", definition="d")], "deny"),
    ],
)
def test_the_most_particular_word_counts(given: list[Permission], decision: str) -> None:
    assert decided(given, "destructive", {}) == decision


def decided(given: list[Permission], policy: str, annotations: dict[str, Any]) -> str:
    return decide(given, policy, annotations, server="s", tool="t", chat="c", definition="d")

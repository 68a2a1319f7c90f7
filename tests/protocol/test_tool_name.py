"""Names that every model and client accepts, and that mean one tool each."""

import re

import pytest

from archestra_gateway.protocol.tool_name import qualified


@pytest.mark.parametrize(
    ("server", "tool", "name"),
    [
        ("files", "read_file", "files__read_file"),
        ("a", "b__c", "a__b__c"),
        ("a", "_b", "a___b"),
    ],
)
def test_a_plain_pair_has_a_plain_name(server: str, tool: str, name: str) -> None:
    assert qualified(server, tool) == name


@pytest.mark.parametrize(
    ("server", "tool"),
    [
        ("files", "read file"),
        ("files", "é"),
        ("a__b", "c"),
        ("a_", "b"),
        ("s" * 64, "tool"),
        ("s", "t" * 200),
        ("s", ""),
        ("s", "x_0123456789"),
    ],
)
def test_any_other_pair_has_a_legal_one_with_a_digest(server: str, tool: str) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,53}_[0-9a-f]{10}", qualified(server, tool))


def test_different_pairs_have_different_names() -> None:
    pairs = [("a", "b__c"), ("a__b", "c"), ("a_", "_c"), ("a", "b c"), ("a", "b.c"), ("a", "b_c")]

    assert len({qualified(*pair) for pair in pairs}) == len(pairs)

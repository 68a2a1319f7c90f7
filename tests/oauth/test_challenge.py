"""What a refusal says."""

import pytest

from archestra_gateway.oauth.challenge import Challenge, parse, union
from archestra_gateway.oauth.discovery import covers, is_same_issuer, issuer_urls, resource_urls


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ([], Challenge()),
        (["Basic realm=x"], Challenge()),
        (["Bearer"], Challenge()),
        (['Bearer scope="a b", error=invalid_token'], Challenge(scope="a b", error="invalid_token")),
        (['bearer RESOURCE_METADATA="https://x/y,z"'], Challenge(resource_metadata="https://x/y,z")),
        (['Basic realm="a", Bearer scope="s"'], Challenge(scope="s")),
        (['Bearer scope="s", Basic realm="r", error="no"'], Challenge(scope="s")),
        (["Digest x=y", 'Bearer scope="s"'], Challenge(scope="s")),
        ([r'Bearer scope="a \"b\""'], Challenge(scope='a "b"')),
        (["Bearer scope=" + "x" * 9000], Challenge()),
        (['Bearer scope="unfinished'], Challenge()),
    ],
)
def test_a_challenge_is_read(headers: list[str], challenge: Challenge) -> None:
    assert parse(headers) == challenge


def test_scopes_add_up() -> None:
    assert union("a b", None, "b c", "") == "a b c"
    assert union(None, "") is None


def test_where_descriptions_are_looked_for() -> None:
    assert resource_urls("https://x/a/b", "https://x/named") == [
        "https://x/named",
        "https://x/.well-known/oauth-protected-resource/a/b",
        "https://x/.well-known/oauth-protected-resource",
    ]
    assert issuer_urls("https://x/tenant/") == [
        "https://x/.well-known/oauth-authorization-server/tenant",
        "https://x/.well-known/openid-configuration/tenant",
        "https://x/tenant/.well-known/openid-configuration",
    ]
    assert issuer_urls("https://x") == [
        "https://x/.well-known/oauth-authorization-server",
        "https://x/.well-known/openid-configuration",
    ]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://x", "https://x/", True),
        ("https://x/a", "https://x/a/", False),
        ("https://x", "https://X", False),
        ("https://x", "https://x?y", False),
        ("https://x", "http://x", False),
        ("https://x//", "https://x", False),
    ],
)
def test_an_issuer_is_compared_letter_by_letter(one: str, other: str, same: bool) -> None:
    assert is_same_issuer(one, other) is same


@pytest.mark.parametrize(
    ("resource", "fits"),
    [
        ("https://x/mcp", True),
        ("https://x/mcp/", True),
        ("https://x", True),
        ("https://x/", True),
        ("https://x/mc", False),
        ("https://x:444/mcp", False),
        ("http://x/mcp", False),
        ("https://y/mcp", False),
        ("https://u@x/mcp", False),
        ("https://x/mcp#a", False),
        ("https://x:nonsense/mcp", False),
    ],
)
def test_a_resource_is_the_server_or_what_it_stands_in(resource: str, fits: bool) -> None:
    assert covers(resource, "https://x/mcp") is fits

"""Which credentials go to which provider."""

import pytest

from archestra_gateway.providers.table import KINDS

TOKEN = "the-gateways-own-token"
DUMMY = [("Authorization", "Bearer sk-dummy"), ("X", "1")]
OWN = [("authorization", f"Bearer {TOKEN}"), ("X", "1")]


@pytest.mark.parametrize(
    ("kind", "sent", "api_key", "passed"),
    [
        ("ollama", DUMMY, None, [("X", "1")]),
        ("ollama", DUMMY, "key", [("X", "1"), ("Authorization", "Bearer key")]),
        ("openai", DUMMY, None, [("X", "1"), ("Authorization", "Bearer sk-dummy")]),
        ("openai", OWN, None, [("X", "1")]),
        ("openai", DUMMY, "key", [("X", "1"), ("Authorization", "Bearer key")]),
        ("openai", [("API-Key", "a"), ("X-Api-Key", "b")], "key", [("Authorization", "Bearer key")]),
        ("anthropic", DUMMY, "key", [("X", "1"), ("X-Api-Key", "key"), ("anthropic-version", "2023-06-01")]),
        (
            "anthropic",
            [("x-api-key", "mine")],
            None,
            [("x-api-key", "mine"), ("anthropic-version", "2023-06-01")],
        ),
        ("anthropic", [("Anthropic-Version", "2030-01-01")], None, [("Anthropic-Version", "2030-01-01")]),
        ("anthropic", [("x-api-key", TOKEN)], None, [("anthropic-version", "2023-06-01")]),
    ],
)
def test_a_stored_key_replaces_what_the_client_sent(
    kind: str, sent: list[tuple[str, str]], api_key: str | None, passed: list[tuple[str, str]]
) -> None:
    assert KINDS[kind].authorized(sent, api_key, TOKEN) == passed


def test_ollama_that_does_not_run_says_what_to_do() -> None:
    assert KINDS["ollama"].unreachable("ollama", "http://127.0.0.1:11434") == (
        "Ollama is not running at http://127.0.0.1:11434. "
        "Start it with `ollama serve`, or install it from https://ollama.com/download; "
        "`archestra-gateway embedded install` brings a small model that runs without it"
    )

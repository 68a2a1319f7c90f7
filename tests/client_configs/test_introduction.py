"""Programs that call themselves what they like, and whose row that is."""

import pytest

from archestra_gateway.client_configs.introduction import LONGEST, called
from archestra_gateway.client_configs.table import CLIENTS

EVERYBODY = tuple(client.id + client.instances[0].suffix for client in CLIENTS)


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ("claude-ai", "claude-desktop"),
        ("claude-ai (via mcp-remote 0.1.29)", "claude-desktop"),
        ("claude-code", "claude-code"),
        ("cursor-vscode", "cursor"),
        ("Cursor", "cursor"),
        ("Visual Studio Code", "vscode"),
        ("Visual-Studio-Code", "vscode"),
        ("windsurf-client", "windsurf"),
        ("Zed", "zed"),
        ("gemini-cli-mcp-client", "gemini-cli"),
        ("gemini-cli-mcp-client-archestra", "gemini-cli"),
        ("codex-mcp-client", "codex-cli"),
        ("goose", "goose"),
        ("Cline", "cline"),
        ("continue-cli-client", "continue"),
        ("opencode", "opencode"),
        ("github-copilot-developer", "copilot-cli"),
        ("qwen-cli-mcp-client-archestra", "qwen-code"),
        ("augment-mcp-client", "augment"),
        ("antigravity-client", "antigravity"),
        ("Kilo-Code", "kilo-code"),
        ("kilo", "kilo-code"),
        ("Roo Code", "roo-code"),
        ("amp-mcp-client", "amp"),
        ("factory-cli", "factory-droid"),
        ("crush", "crush"),
        ("JetBrains-IU-copilot-intellij", "copilot-jetbrains"),
        ("kiro", "kiro"),
        ("mcp-test-client", None),
        ("claude", None),
        ("code", None),
        ("*", None),
        ("", None),
        ("x" * (LONGEST + 1), None),
    ],
)
def test_a_client_is_known_by_what_it_calls_itself(said: str, client: str | None) -> None:
    assert called(said, EVERYBODY) == client


def test_a_name_that_several_have_is_nobodys() -> None:
    assert called("Cline", ("cline",)) == "cline"
    assert called("Cline", ("cline", "cline-cli")) is None


def test_the_kinds_of_an_editor_are_told_apart_and_their_profiles_are_not() -> None:
    kinds = ("vscode", "vscode-insiders", "vscode-vscodium")
    profile = "vscode-insiders-profile-1f2e"

    assert called("Visual Studio Code - Insiders", kinds) == "vscode-insiders"
    assert called("VSCodium", kinds) == "vscode-vscodium"
    assert called("Visual Studio Code - Insiders", ("vscode", profile)) == profile
    assert called("Visual Studio Code - Insiders", (*kinds, profile)) is None


def test_a_client_of_ones_own_is_known_by_its_own_name_alone() -> None:
    assert called("my client", ("My Client", "other")) == "My Client"
    assert called("anything", ("*", "[a-z]*")) is None

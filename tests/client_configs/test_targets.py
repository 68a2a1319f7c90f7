"""Which files a machine has, and what is installed on it."""

from pathlib import Path

import pytest

from archestra_gateway.client_configs.machine import Machine, Platform
from archestra_gateway.client_configs.targets import Target, targets


def found(machine: Machine) -> dict[str, Target]:
    return {target.name: target for target in targets(machine)}


def test_names_are_given_once(tmp_path: Path) -> None:
    for platform in ("linux", "macos", "windows"):
        names = [target.name for target in targets(Machine(platform, tmp_path))]
        assert len(names) == len(set(names)) == 43


def test_nothing_is_installed_in_an_empty_home(tmp_path: Path) -> None:
    assert not [target.name for target in targets(Machine("linux", tmp_path)) if target.is_installed]


@pytest.mark.parametrize(
    ("made", "names"),
    [
        (".cursor/", {"cursor"}),
        (".claude.json", {"claude-code"}),
        (".claude/", {"claude-code"}),
        (".config/Claude/", {"claude-desktop"}),
        (".config/Code/User/", {"vscode"}),
        (".config/Code - Insiders/User/", {"vscode-insiders"}),
        (".config/Code/User/globalStorage/saoudrizwan.claude-dev/", {"vscode", "cline"}),
        (".config/Cursor/User/globalStorage/rooveterinaryinc.roo-cline/", {"roo-code-cursor"}),
        (".config/Code/User/globalStorage/sourcegraph.amp/", {"vscode", "amp"}),
        (".devin/", {"windsurf"}),
        (".gemini/settings.json", {"gemini-cli"}),
        (".gemini/antigravity-ide/", {"antigravity-ide"}),
        (".kimi/", {"kimi-code"}),
        (".cline/", {"cline-cli"}),
        (".junie/", {"junie"}),
    ],
)
def test_a_client_is_known_by_what_it_left(tmp_path: Path, made: str, names: set[str]) -> None:
    path = tmp_path / made
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(parents=True) if made.endswith("/") else path.touch()

    assert {
        name for name, target in found(Machine("linux", tmp_path)).items() if target.is_installed
    } == names


def test_a_client_is_known_by_its_program(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "codex"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    machine = Machine("linux", tmp_path, {"PATH": str(program.parent)})

    assert {name for name, target in found(machine).items() if target.is_installed} == {"codex-cli"}


def test_every_profile_of_an_editor_is_one_more_client(tmp_path: Path) -> None:
    (tmp_path / "Library/Application Support/Code/User/profiles/3f2a").mkdir(parents=True)

    target = found(Machine("macos", tmp_path))["vscode-profile-3f2a"]

    assert target.title == "VS Code (profile 3f2a)"
    assert target.path == tmp_path / "Library/Application Support/Code/User/profiles/3f2a/mcp.json"
    assert target.is_installed


class TestClaudeDesktopOnWindows:
    packaged = "AppData/Local/Packages/Claude_pzs8sxrjxfjjc/LocalCache/Roaming/Claude"
    roaming = "AppData/Roaming/Claude"

    @pytest.mark.parametrize(
        ("folders", "files", "chosen"),
        [
            ((), (), roaming),
            ((roaming,), (roaming,), roaming),
            ((packaged,), (), packaged),
            ((packaged, roaming), (), packaged),
            ((packaged, roaming), (roaming,), roaming),
            ((packaged, roaming), (packaged, roaming), packaged),
        ],
    )
    def test_the_store_package_keeps_its_file_elsewhere(
        self, tmp_path: Path, folders: tuple[str, ...], files: tuple[str, ...], chosen: str
    ) -> None:
        for folder in folders:
            (tmp_path / folder).mkdir(parents=True)
        for folder in files:
            (tmp_path / folder / "claude_desktop_config.json").touch()

        target = found(Machine("windows", tmp_path))["claude-desktop"]

        assert target.path == tmp_path / chosen / "claude_desktop_config.json"
        assert target.is_installed == bool(folders)


@pytest.mark.parametrize(
    ("platform", "environment", "name", "path"),
    [
        ("linux", {"CODEX_HOME": "/elsewhere"}, "codex-cli", "/elsewhere/config.toml"),
        ("linux", {"GROK_HOME": "/elsewhere"}, "grok-build", "/elsewhere/config.toml"),
        ("macos", {"CLAUDE_CONFIG_DIR": "/elsewhere"}, "claude-code", "/elsewhere/.claude.json"),
        ("linux", {"XDG_CONFIG_HOME": "/elsewhere"}, "zed", "/elsewhere/zed/settings.json"),
        ("linux", {"XDG_CONFIG_HOME": "/elsewhere"}, "vscode", "/elsewhere/Code/User/mcp.json"),
        ("windows", {"APPDATA": "/roaming"}, "goose", "/roaming/Block/goose/config/config.yaml"),
        ("windows", {"APPDATA": "/roaming"}, "zed", "/roaming/Zed/settings.json"),
        (
            "windows",
            {"LOCALAPPDATA": "/local"},
            "copilot-jetbrains",
            "/local/github-copilot/intellij/mcp.json",
        ),
    ],
)
def test_the_environment_moves_files(
    tmp_path: Path, platform: Platform, environment: dict[str, str], name: str, path: str
) -> None:
    assert found(Machine(platform, tmp_path, environment))[name].path == Path(path)


def test_lm_studio_names_its_home_in_a_file(tmp_path: Path) -> None:
    (tmp_path / ".lmstudio-home-pointer").write_text("/models/lmstudio\n")

    assert found(Machine("linux", tmp_path))["lm-studio"].path == Path("/models/lmstudio/mcp.json")


@pytest.mark.parametrize("name", ["opencode", "kilo"])
def test_the_file_that_exists_is_taken(tmp_path: Path, name: str) -> None:
    folder = tmp_path / ".config" / name
    folder.mkdir(parents=True)
    (folder / f"{name}.jsonc").touch()

    client = {"opencode": "opencode", "kilo": "kilo-code"}[name]
    assert found(Machine("linux", tmp_path))[client].path == folder / f"{name}.jsonc"

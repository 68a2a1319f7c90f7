"""The npm package @gleanwork/mcp-config-schema as a second opinion on places and shapes."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import attrs
import pytest

from archestra_gateway.client_configs.entry import Remote, remote_entry
from archestra_gateway.client_configs.formats import load
from archestra_gateway.client_configs.machine import Machine, Platform
from archestra_gateway.client_configs.plan import Record, connect
from archestra_gateway.client_configs.table import CLIENTS, SNIPPETS
from archestra_gateway.client_configs.targets import targets

NODE = Path(__file__).parent.parent / "node"
PLATFORMS: dict[str, Platform] = {"linux": "linux", "darwin": "macos", "win32": "windows"}
SAME_CLIENT = {
    "antigravity-cli": "antigravity",
    "claude-code": "claude-code",
    "claude-desktop": "claude-desktop",
    "codex": "codex-cli",
    "cursor": "cursor",
    "cursor-agent": "cursor",
    "gemini": "gemini-cli",
    "goose": "goose",
    "junie": "junie",
    "opencode": "opencode",
    "vscode": "vscode",
    "windsurf": "windsurf",
}
OTHER_PLACES = {
    ("goose", "win32"): "Goose's own documentation: %APPDATA%\\Block\\goose\\config on Windows",
    ("claude-desktop", "win32"): "the same place, as long as there is no Store package",
}
OTHER_SHAPES = {
    "claude-desktop": "our bridge instead of npx mcp-remote: no node, and no token in the file",
    "junie": "the bridge: what Junie does with an HTTP entry was not seen to work",
}
MEMBERS_WE_LEAVE_OUT = {
    "cursor": {"type"},  # Cursor tells by `url`
    "cursor-agent": {"type"},
    "goose": {"envs", "env_keys", "bundled", "available_tools"},  # Goose has defaults for them
}
MEMBERS_WE_ADD = {"opencode": {"enabled": True}}
VALUES_OF_OURS = {"goose": {"description"}}  # required, and empty there


@pytest.fixture(scope="module")
def opinions() -> dict[str, Any]:
    if not shutil.which("node") or not (NODE / "node_modules/@gleanwork/mcp-config-schema").is_dir():
        pytest.skip("needs node, and `npm install` in tests/node")
    program = ["node", "mcp_config_schema.mjs"]
    ran = subprocess.run(program, cwd=NODE, capture_output=True, text=True, check=True, timeout=60)
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


def test_every_client_that_it_knows_is_compared(opinions: dict[str, Any]) -> None:
    by_hand = {"jetbrains"}  # a snippet to paste
    another_product = {
        "antigravity",
        "linear",
    }  # ~/.gemini/antigravity is of versions before the IDE's own folder

    assert set(opinions) - by_hand - another_product == set(SAME_CLIENT)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("theirs", SAME_CLIENT)
def test_the_file_is_where_it_says(
    opinions: dict[str, Any], theirs: str, platform: str, tmp_path: Path
) -> None:
    template = opinions[theirs]["paths"][platform].replace("\\", "/")
    for name, place in {
        "$HOME": "",
        "%USERPROFILE%": "",
        "%APPDATA%": "/AppData/Roaming",
    }.items():
        template = template.replace(name, f"{tmp_path}{place}")

    found = {target.name: target.path for target in targets(Machine(PLATFORMS[platform], tmp_path))}

    is_same = found[SAME_CLIENT[theirs]] == Path(template)
    assert is_same or (theirs, platform) in OTHER_PLACES


@pytest.mark.parametrize("theirs", [name for name in SAME_CLIENT if name not in OTHER_SHAPES])
def test_the_entry_looks_as_it_says(opinions: dict[str, Any], theirs: str, remote: Remote) -> None:
    client = next(client for client in CLIENTS if client.id == SAME_CLIENT[theirs])
    assert client.http
    entry = remote_entry(client.http, attrs.evolve(remote, headers={"Authorization": "Bearer token"}))
    ours = load(client.form, connect(client, None, Record(), {"archestra": entry}).text or "")
    (key,) = client.section.path
    written = ours[key]["archestra"]
    expected = opinions[theirs]["http"][key]["archestra"]

    for member in MEMBERS_WE_LEAVE_OUT.get(theirs, set()) | VALUES_OF_OURS.get(theirs, set()):
        expected.pop(member)
    for member in VALUES_OF_OURS.get(theirs, set()):
        assert written.pop(member)

    assert written == expected | MEMBERS_WE_ADD.get(theirs, {})
    assert list(ours) == [key]


def test_the_snippet_for_jetbrains_is_like_its_own(opinions: dict[str, Any], remote: Remote) -> None:
    snippet = next(snippet for snippet in SNIPPETS if snippet.id == "jetbrains-ai-assistant")

    entry = remote_entry(snippet.entry, attrs.evolve(remote, headers={"Authorization": "Bearer token"}))

    # `type` is not written: the IDE tells by `url`.
    assert {"type": "http", **entry} == opinions["jetbrains"]["http"]["mcpServers"]["archestra"]

"""Whatever people paste."""

from typing import Any

import pytest

from archestra_gateway.catalog.pasted import NotAConfig, read

ENTRY = {"command": "npx", "args": ["-y", "notes"], "env": {"A": "1"}}
REMOTE = {"url": "https://example.com/mcp", "headers": {"X-Key": "k"}}


@pytest.mark.parametrize(
    "pasted",
    [
        {"mcpServers": {"notes": ENTRY}},
        {"servers": {"notes": {"type": "stdio", **ENTRY}}, "inputs": []},
        {"mcp": {"servers": {"notes": ENTRY}}},
        {"context_servers": {"notes": {"source": "custom", **ENTRY}}},
        {"mcp": {"notes": {"type": "local", "command": ["npx", "-y", "notes"], "environment": {"A": "1"}}}},
        {"amp.mcpServers": {"notes": ENTRY}},
        {"notes": ENTRY},
        {"name": "notes", **ENTRY},
        '{"mcpServers": {"notes": {"command": "npx", "args": ["-y", "notes"], "env": {"A": "1"},}}} // me',
        '"notes": {"command": "npx", "args": ["-y", "notes"], "env": {"A": "1"}}',
        '[mcp_servers.notes]\ncommand = "npx"\nargs = ["-y", "notes"]\n[mcp_servers.notes.env]\nA = "1"\n',
        "mcpServers:\n  - name: notes\n    command: npx\n    args: [-y, notes]\n    env: {A: '1'}\n",
        "extensions:\n  notes:\n    type: stdio\n    cmd: npx\n    args: [-y, notes]\n    envs: {A: '1'}\n",
        {"mcpServers": {"notes": {"command": "npx -y notes", "env": {"A": "1"}}}},
    ],
)
def test_a_program_is_found_in_every_shape(pasted: Any) -> None:
    (recipe,) = read(pasted)

    assert recipe.name == "notes"
    assert [recipe.command, *(part for group in recipe.args for part in group)] == ["npx", "-y", "notes"]
    assert recipe.env == {"A": "1"}


@pytest.mark.parametrize(
    "pasted",
    [
        {"mcpServers": {"notes": REMOTE}},
        {"mcpServers": {"notes": {"serverUrl": REMOTE["url"], "headers": REMOTE["headers"]}}},
        {"notes": {"type": "streamable-http", **REMOTE}},
        {"mcpServers": {"notes": {"httpUrl": REMOTE["url"], "headers": REMOTE["headers"]}}},
        {
            "mcpServers": {
                "notes": {
                    "command": "npx",
                    "args": ["mcp-remote@latest", REMOTE["url"], "--header", "X-Key: k"],
                }
            }
        },
    ],
)
def test_a_remote_server_is_found_in_every_shape(pasted: Any) -> None:
    (recipe,) = read(pasted)

    assert (recipe.name, recipe.url, recipe.headers) == ("notes", REMOTE["url"], REMOTE["headers"])


def test_one_entry_without_a_name_gets_one() -> None:
    (recipe,) = read(ENTRY)

    assert recipe.name == "notes"


def test_a_working_folder_comes_along() -> None:
    (recipe,) = read({"notes": {**ENTRY, "cwd": "/srv/notes"}})

    assert recipe.cwd == "/srv/notes"


def test_variables_of_the_other_program_become_inputs() -> None:
    (recipe,) = read(
        {"notes": {"command": "notes", "args": ["${workspaceFolder}", "${env:PLACE}", "{env:OTHER}"]}}
    )

    assert recipe.args == (("${input:workspaceFolder}",), ("${input:PLACE}",), ("${input:OTHER}",))
    assert {each.name: each.type for each in recipe.inputs} == {
        "workspaceFolder": "folder",
        "PLACE": "text",
        "OTHER": "text",
    }


@pytest.mark.parametrize(
    "pasted",
    ["", "hello", "[1, 2]", "{", {"mcpServers": {}}, {"a": 1}, {"mcpServers": {"a": {}}}, [], 7, None],
)
def test_what_has_no_server_in_it_is_told(pasted: Any) -> None:
    with pytest.raises(NotAConfig):
        read(pasted)

"""Manifests of bundles, with MCPB's own tools as a second opinion."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from archestra_gateway.catalog.bundle import NotABundle, Surroundings, read
from archestra_gateway.catalog.bundle_file import manifest_of, unpack
from archestra_gateway.catalog.recipe import config_of, permissions_of
from archestra_gateway.schemas.mcp_server import StdioConfig

NODE = Path(__file__).parent.parent / "node"
HOME = "/home/me"
AROUND = Surroundings("/bundle", HOME, "linux")


def manifest(config: dict[str, Any] | None = None, /, **more: Any) -> dict[str, Any]:
    server = {
        "type": "node",
        "entry_point": "server/index.js",
        "mcp_config": config or {"command": "node", "args": ["${__dirname}/server/index.js"]},
    }
    return {
        "manifest_version": "0.3",
        "name": "notes",
        "version": "1.0.0",
        "description": "Notes",
        "author": {"name": "Me"},
        "server": server,
        **more,
    }


def option(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "title": "It", "description": "It is it", **more}


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing to fill in": (manifest(), {}),
    "an old one": ({**manifest(), "manifest_version": "0.1"}, {}),
    "everything": (
        manifest(
            {
                "command": "node",
                "args": [
                    "${__dirname}/server/index.js",
                    "--home=${HOME}${/}x",
                    "${user_config.folders}",
                    "--size",
                    "${user_config.size}",
                ],
                "env": {"KEY": "Bearer ${user_config.key}", "LOUD": "${user_config.loud}", "A": "${nothing}"},
                "platform_overrides": {
                    "linux": {"command": "nodejs"},
                    "win32": {"command": "node.exe", "args": []},
                },
            },
            user_config={
                "folders": option(
                    "directory", multiple=True, default=["${HOME}/Desktop", "${DOCUMENTS}"], required=True
                ),
                "size": option("number", default=10, min=1, max=100),
                "key": option("string", sensitive=True, required=True),
                "loud": option("boolean", default=False),
            },
        ),
        {"key": "a$1b", "folders": ["/srv/a", "/srv/b"], "size": 7, "loud": True},
    ),
}


def told(value: Any) -> tuple[str, ...]:
    return tuple(
        str(each).lower() if isinstance(each, bool) else str(each)
        for each in (value if isinstance(value, list) else [value])
    )


@pytest.fixture(scope="module")
def opinions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any]]]:
    """The packed and signed file of each case, and the configuration that MCPB's library makes."""
    if not (NODE / "node_modules" / "@anthropic-ai" / "mcpb").is_dir() or not shutil.which("openssl"):
        pytest.skip("needs the npm package @anthropic-ai/mcpb and openssl")
    found = {}
    for name, (document, values) in CASES.items():
        folder = tmp_path_factory.mktemp("bundle")
        (folder / "server").mkdir()
        (folder / "server" / "index.js").write_text("// a server")
        (folder / "manifest.json").write_text(json.dumps(document))
        file = folder.with_suffix(".mcpb")
        order = {"folder": str(folder), "file": str(file), "home": HOME, "userConfig": values}
        ended = subprocess.run(
            ["node", "mcpb.mjs"],
            cwd=NODE,
            input=json.dumps(order),
            capture_output=True,
            text=True,
            check=True,
        )
        found[name] = file, json.loads(ended.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("name", CASES)
def test_it_is_started_as_mcpb_would(opinions: Any, tmp_path: Path, name: str) -> None:
    file, theirs = opinions[name]
    document, values = CASES[name]

    assert b"MCPB_SIG_V1" in file.read_bytes()
    assert manifest_of(file) == document
    unpack(file, tmp_path / "out")
    assert (tmp_path / "out" / "server" / "index.js").read_text() == "// a server"
    ours = config_of(read(document, AROUND), {key: told(value) for key, value in values.items()})
    assert isinstance(ours, StdioConfig)
    assert (ours.command, ours.args, ours.env) == (theirs["command"], theirs["args"], theirs.get("env", {}))


def test_defaults_and_what_is_asked_for() -> None:
    recipe = read(CASES["everything"][0], AROUND)

    asked = {each.name: each for each in recipe.inputs}
    assert asked["folders"].default == (f"{HOME}/Desktop", f"{HOME}/Documents")
    assert (asked["folders"].type, asked["folders"].multiple, asked["key"].secret) == ("folder", True, True)
    assert (asked["size"].default, asked["size"].min, asked["size"].max) == (("10",), 1, 100)
    assert permissions_of(recipe, {"folders": ("/srv/a", "/srv/b")}).read_only == ["/srv/a", "/srv/b"]


def test_an_optional_flag_goes_with_its_value() -> None:
    config = {"command": "node", "args": ["x.js", "--key", "${user_config.key}", "-v"]}
    made = config_of(read(manifest(config, user_config={"key": option("string")}), AROUND), {})

    assert isinstance(made, StdioConfig)
    assert made.args == ["x.js", "-v"]


def test_what_is_special_on_a_system_comes_beside_the_rest() -> None:
    config = {
        "command": "node",
        "env": {"A": "1", "B": "1"},
        "platform_overrides": {"linux": {"env": {"B": "2"}}},
    }
    made = config_of(read(manifest(config), AROUND), {})

    assert isinstance(made, StdioConfig)
    assert made.env == {"A": "1", "B": "2"}


def test_a_program_of_the_bundle_is_started_from_it() -> None:
    made = config_of(read(manifest({"command": "server/run", "args": []}), AROUND), {})

    assert isinstance(made, StdioConfig)
    assert (made.command, made.cwd) == ("/bundle/server/run", "/bundle")


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([], "not an object"),
        ({}, "version of nothing"),
        (manifest(manifest_version="1.0"), "version 1.0"),
        (manifest(author="Me"), "no `author`"),
        (manifest(server={"type": "node", "entry_point": "x"}), "no `mcp_config`"),
        (manifest({"command": ["node"]}), "no `command`"),
        (manifest({"command": "node", "args": "x"}), "not a list"),
        (manifest(user_config=[]), "not an object"),
    ],
)
def test_what_does_not_follow_the_specification_is_told(document: Any, sentence: str) -> None:
    with pytest.raises(NotABundle, match=sentence):
        read(document, AROUND)

"""What a command needs to be shown, for the ways in which people install their tools."""

import os
from pathlib import Path

import pytest

from archestra_gateway.sandbox.path import SearchPath
from archestra_gateway.sandbox.toolchain import resolve


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "me"
    folder.mkdir()
    return folder


def program(path: Path, text: str = "\x7fELF") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def needs(home: Path, command: Path, *args: str, path: tuple[Path, ...] = ()) -> tuple[str, tuple[str, ...]]:
    """What is started and what it is shown, both relative to the home where they are in it."""
    search = SearchPath(tuple(str(folder) for folder in path))
    found = resolve(str(command), args, str(home), search, home)
    relative = tuple(os.path.relpath(each, home) for each in found.needs)
    return os.path.relpath(found.path, home), relative


def test_a_program_of_the_system_needs_nothing(home: Path) -> None:
    found = resolve("/usr/bin/env", (), str(home), SearchPath(()), home)

    assert (found.path, found.needs) == ("/usr/bin/env", ())


def test_node_of_nvm_is_shown_with_its_installation(home: Path) -> None:
    prefix = home / ".nvm/versions/node/v20.1.0"
    node = program(prefix / "bin/node")
    (prefix / "lib/node_modules").mkdir(parents=True)

    assert needs(home, node) == (".nvm/versions/node/v20.1.0/bin/node", (".nvm/versions/node/v20.1.0",))


def test_one_program_in_a_common_folder_is_shown_alone(home: Path) -> None:
    (home / ".local/share/keyrings").mkdir(parents=True)
    tool = program(home / ".local/bin/tool")

    assert needs(home, tool) == (".local/bin/tool", (".local/bin/tool",))


def test_a_tool_of_uv_is_shown_with_its_environment_and_the_python_of_it(home: Path) -> None:
    python = program(home / ".local/share/uv/python/cpython-3.12/bin/python3.12")
    (home / ".local/share/uv/python/cpython-3.12/lib").mkdir()
    environment = home / ".local/share/uv/tools/server"
    script = program(environment / "bin/server", f"#!{environment}/bin/python\n")
    (environment / "bin/python").symlink_to(python)
    (environment / "pyvenv.cfg").write_text(f"home = {python.parent}\n")
    (home / ".local/bin").mkdir()
    (home / ".local/bin/server").symlink_to(script)

    started, shown = needs(home, home / ".local/bin/server")

    assert started == ".local/share/uv/tools/server/bin/server"
    assert {".local/share/uv/tools/server", ".local/share/uv/python/cpython-3.12"} <= set(shown)
    assert not {".local", ".local/bin", ".local/share"} & set(shown)


def test_a_node_script_is_shown_with_the_packages_around_it_and_node_itself(home: Path) -> None:
    node = program(home / ".nvm/versions/node/v20.1.0/bin/node")
    script = program(home / "app/node_modules/server/index.js", "#!/usr/bin/env node\n")
    (home / "app/node_modules/.bin").mkdir()
    (home / "app/node_modules/.bin/server").symlink_to(script)

    _, shown = needs(home, home / "app/node_modules/.bin/server", path=(node.parent,))

    assert shown[0] == "app/node_modules"
    assert ".nvm/versions/node/v20.1.0/bin/node" in shown


def test_a_script_that_an_interpreter_runs_is_shown_with_its_project(home: Path) -> None:
    (home / "code/server/build").mkdir(parents=True)
    (home / "code/server/package.json").write_text("{}")
    script = home / "code/server/build/index.js"
    script.write_text("")
    node = program(home / "tools/bin/node")

    _, shown = needs(home, node, "--flag", str(script), "/etc/passwd")

    assert shown == ("tools/bin/node", "code/server")


def test_a_script_in_the_home_is_shown_alone(home: Path) -> None:
    (home / "server.py").write_text("")
    (home / "package.json").write_text("{}")
    python = program(home / "tools/bin/python3")

    _, shown = needs(home, python, "server.py")

    assert shown == ("tools/bin/python3", "server.py")


def test_the_program_behind_a_stand_in_is_asked_for(home: Path) -> None:
    real = program(home / ".pyenv/versions/3.12/bin/python3")
    (home / ".pyenv/versions/3.12/lib").mkdir()
    manager = program(home / ".pyenv/bin/pyenv", f'#!/bin/sh\n[ "$1 $2" = "which python3" ] && echo {real}\n')
    shim = program(home / ".pyenv/shims/python3", "#!/bin/sh\n")

    assert needs(home, shim, path=(manager.parent,)) == (
        ".pyenv/versions/3.12/bin/python3",
        (".pyenv/versions/3.12",),
    )

"""Where programs are found, and what they are started with."""

import os
import sys
from pathlib import Path

import attrs
import pytest

from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.sandbox.command import inherited, launch
from archestra_gateway.sandbox.path import (
    SearchPath,
    early_path,
    find_search_path,
    login_path,
    marked,
    own_folder,
    search_path,
)
from archestra_gateway.schemas.mcp_server import StdioConfig


def program(folder: Path, name: str, text: str = "#!/bin/sh\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(text)
    file.chmod(0o755)
    return file


def test_folders_are_searched_in_order(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for folder in (
        "daemon",
        "login",
        "home/.nvm/versions/node/v9.1.0/bin",
        "home/.nvm/versions/node/v20.2.0/bin",
    ):
        program(tmp_path / folder, "node")
    daemon = os.pathsep.join([str(tmp_path / "daemon"), "relative", "/does/not/exist"])

    path = search_path(daemon, str(tmp_path / "login"), home)

    assert path.which_all("node")[:4] == [
        str(tmp_path / "daemon" / "node"),
        str(tmp_path / "login" / "node"),
        str(home / ".nvm/versions/node/v20.2.0/bin/node"),
        str(home / ".nvm/versions/node/v9.1.0/bin/node"),
    ]
    assert path.folders[-1] == str(Path(sys.executable).parent)
    assert "relative" not in path.folders


async def test_the_login_shell_is_asked(tmp_path: Path) -> None:
    shell = program(
        tmp_path, "shell", '#!/bin/sh\necho Welcome!\nPATH=/from/profile:/bin\nshift\neval "$1"\n'
    )

    assert await login_path({"SHELL": str(shell)}) == "/from/profile:/bin"


@pytest.mark.parametrize("text", ["#!/bin/sh\nsleep 60\n", "#!/bin/sh\nexit 1\n", "#!/does/not/exist\n"])
async def test_a_shell_that_hangs_or_fails_costs_nothing_but_a_moment(tmp_path: Path, text: str) -> None:
    assert await login_path({"SHELL": str(program(tmp_path, "shell", text))}, timeout=0.2) == ""


async def test_a_slow_shell_can_give_its_locks_back(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    text = f"#!/bin/sh\ntrap 'rm {lock}; exit 1' TERM\ntouch {lock}\nsleep 60 & wait\n"

    assert await login_path({"SHELL": str(program(tmp_path, "shell", text))}, timeout=0.5) == ""

    assert not lock.exists()


def test_greetings_around_the_path_are_skipped() -> None:
    assert marked(["hello", "archestra-path:/a", "archestra-path:/b", "bye"]) == "/b"


async def test_our_own_programs_are_found() -> None:
    path = await find_search_path({"PATH": "/bin", "SHELL": "/bin/sh"})

    assert path.which("sh") is not None
    assert path.which(Path(sys.executable).name) is not None


def test_what_the_daemons_own_path_has_needs_no_login_shell(tmp_path: Path) -> None:
    program(tmp_path / "daemon", "server")
    program(tmp_path / "daemon", "script", "#!/usr/bin/env -S node --quiet\n")
    absolute = str(program(tmp_path / "elsewhere", "absolute"))
    daemon = str(tmp_path / "daemon")

    early = early_path("server", daemon, tmp_path)
    without_node = early_path("script", daemon, tmp_path)
    program(tmp_path / "daemon", "node")
    with_node = early_path("script", daemon, tmp_path)

    assert early == attrs.evolve(search_path(daemon, "", tmp_path), is_whole=False)
    assert without_node is None
    assert with_node == early
    assert early_path(absolute, daemon, tmp_path) == early


@pytest.mark.parametrize("command", ["absent", os.path.basename(sys.executable), "sh", "/bin/sh", "~/absent"])
def test_what_the_login_shell_may_know_better_waits_for_it(tmp_path: Path, command: str) -> None:
    program(tmp_path / "daemon", "sh")

    assert early_path(command, str(tmp_path / "daemon"), tmp_path) is None


def test_our_own_programs_wait_for_nobody(tmp_path: Path) -> None:
    early = early_path("archestra-filesystem-server", "/bin", tmp_path)

    assert early is not None
    assert early.which("archestra-filesystem-server") == f"{own_folder()}/archestra-filesystem-server"


def test_a_launch_has_its_own_environment_and_nothing_else(tmp_path: Path) -> None:
    program(tmp_path, "server")
    config = StdioConfig(command="server", args=["-x"], env={"OWN": "1", "LANG": "C"}, cwd=str(tmp_path))
    environment = {
        "HOME": "/home/me",
        "LC_ALL": "de",
        "LANG": "de",
        "AWS_SECRET": "x",
        "ARCHESTRA_TOKEN": "y",
    }

    wanted = launch(config, SearchPath((str(tmp_path),)), environment)

    assert wanted.argv == (str(tmp_path / "server"), "-x")
    assert wanted.cwd == str(tmp_path)
    assert wanted.env == {"HOME": "/home/me", "LC_ALL": "de", "LANG": "C", "OWN": "1", "PATH": str(tmp_path)}
    assert "OWN" not in repr(wanted)


def test_home_is_there_without_an_environment() -> None:
    assert inherited({}) == {"HOME": str(Path.home())}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (StdioConfig(command="npx"), r"`npx` was not found; looked in /nowhere\. Install Node\.js"),
        (StdioConfig(command="uvx"), r"Install uv from"),
        (StdioConfig(command="strange"), r"or give the command's full path"),
        (StdioConfig(command="/bin/sh", cwd="/not/there"), r"working directory /not/there does not exist"),
    ],
)
def test_what_is_missing_is_said_with_advice(config: StdioConfig, says: str) -> None:
    with pytest.raises(UpstreamUnavailable, match=says):
        launch(config, SearchPath(("/nowhere",)), {})

"""Where programs are: the PATH of a person's terminal, which a daemon started by a desktop does not get."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

MARK = "archestra-path:"
SHELL_TIMEOUT = 3.0
SHELL_GRACE = 1.0

TOOL_FOLDERS = (
    ".local/bin",
    ".volta/bin",
    ".asdf/shims",
    ".local/share/mise/shims",
    ".pyenv/shims",
    ".bun/bin",
    ".deno/bin",
    ".cargo/bin",
    ".nvm/versions/node/*/bin",
    ".local/share/fnm/node-versions/*/installation/bin",
    ".fnm/node-versions/*/installation/bin",
    "Library/Application Support/fnm/node-versions/*/installation/bin",
)
"""Below the home directory; of several versions the newest comes first."""

SYSTEM_FOLDERS = (
    "/opt/homebrew/bin",
    "/usr/local/bin",
    "/home/linuxbrew/.linuxbrew/bin",
    "/usr/bin",
    "/bin",
)

OURS = "archestra-"
"""How the programs begin that come with the gateway, and whose right version is beside it."""

LAUNCHERS = frozenset({"env", "sh", "bash", "dash", "zsh", "ksh", "fish"})
"""They start other programs by name, which may be anywhere."""

INSTALL_HINTS = {
    "npx": "Install Node.js from https://nodejs.org",
    "npm": "Install Node.js from https://nodejs.org",
    "node": "Install Node.js from https://nodejs.org",
    "uvx": "Install uv from https://docs.astral.sh/uv",
    "uv": "Install uv from https://docs.astral.sh/uv",
    "docker": "Install Docker from https://docs.docker.com/get-docker",
    "bunx": "Install Bun from https://bun.sh",
    "deno": "Install Deno from https://deno.com",
}


@attrs.frozen
class SearchPath:
    """Folders in the order they are searched; without those of the login shell it is not whole."""

    folders: tuple[str, ...]
    is_whole: bool = True

    def __str__(self) -> str:
        return os.pathsep.join(self.folders)

    def which(self, command: str) -> str | None:
        return shutil.which(command, path=str(self))

    def which_all(self, command: str) -> list[str]:
        """Every program of that name; the first is the one that runs."""
        found = (shutil.which(command, path=folder) for folder in self.folders)
        return [program for program in found if program is not None]


def search_path(daemon: str, login: str | None, home: Path) -> SearchPath:
    """The daemon's own PATH, the login shell's, well-known places, and this Python's folder last.

    No `login` means that the shell was not asked.
    """
    folders = [
        *daemon.split(os.pathsep),
        *(login or "").split(os.pathsep),
        *tool_folders(home),
        *SYSTEM_FOLDERS,
        own_folder(),
    ]
    return SearchPath(_existing(folders), is_whole=login is not None)


def early_path(command: str, daemon: str, home: Path) -> SearchPath | None:
    """For a command that is the same program whatever the login shell says; None where it may not be."""
    command = os.path.expanduser(command)
    first = SearchPath(_existing(daemon.split(os.pathsep)))
    places = attrs.evolve(first, folders=(*first.folders, own_folder()))
    program = (places if command.startswith(OURS) else first).which(command)
    if program is None or os.path.basename(command) in LAUNCHERS:
        return None
    interpreter = interpreter_name(os.path.realpath(program))
    if interpreter is not None and first.which(interpreter) is None:
        return None
    return search_path(daemon, None, home)


def interpreter_name(program: str) -> str | None:
    """What a script wants to be looked up, as in `#!/usr/bin/env node`."""
    words = shebang_words(program)
    if not words or os.path.basename(words[0]) != "env":
        return None
    names = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    return names[0] if names else None


def shebang_words(program: str) -> list[str]:
    """What stands behind a script's `#!`; nothing when it is no script."""
    try:
        with open(program, "rb") as file:
            line = file.readline(512)
    except OSError:
        return []
    return line[2:].decode(errors="replace").split() if line.startswith(b"#!") else []


def own_folder() -> str:
    return str(Path(sys.executable).parent)


def _existing(folders: Iterable[str]) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(folder for folder in folders if os.path.isabs(folder) and os.path.isdir(folder))
    )


def tool_folders(home: Path) -> list[str]:
    return [
        str(folder)
        for pattern in TOOL_FOLDERS
        for folder in sorted(home.glob(pattern), key=_version, reverse=True)
    ]


async def find_search_path(environment: dict[str, str]) -> SearchPath:
    """Ask the login shell, which may take a moment, and look around."""
    login = await login_path(environment)
    return await asyncio.to_thread(search_path, environment.get("PATH", ""), login, Path.home())


async def login_path(environment: dict[str, str], timeout: float = SHELL_TIMEOUT) -> str:
    """PATH as the user's interactive login shell has it; empty when the shell is slow or strange."""
    shell = environment.get("SHELL", "/bin/sh")
    try:
        process = await asyncio.create_subprocess_exec(
            shell,
            "-ilc",
            f'printf "\\n{MARK}%s\\n" "$PATH"',
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return ""
    try:
        async with asyncio.timeout(timeout):
            output, _ = await process.communicate()
    except TimeoutError:
        return ""
    finally:
        await _end(process)
    return marked(output.decode(errors="replace").splitlines())


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask first: start-up files hold locks (pyenv's rehash does) that a killed shell would leave behind."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SHELL_GRACE):
                    await process.wait()


def marked(lines: Iterable[str]) -> str:
    """What our own line says, whatever greetings the shell's start-up files print around it."""
    found = [line.removeprefix(MARK) for line in lines if line.startswith(MARK)]
    return found[-1] if found else ""


def not_found(command: str, folders: Sequence[str]) -> str:
    hint = INSTALL_HINTS.get(command, "Install it, or give the command's full path")
    return f"`{command}` was not found; looked in {', '.join(folders)}. {hint}."


def _version(folder: Path) -> list[int]:
    """`…/v20.19.1/bin` → [20, 19, 1]."""
    digits = "".join(c if c.isdigit() else " " for c in str(folder))
    return [int(number) for number in digits.split()]

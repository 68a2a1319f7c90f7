"""What a command needs of this machine to run: its real program, its interpreter, and their installations."""

import os
import re
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import attrs

from archestra_gateway.sandbox.path import SearchPath, interpreter_name, shebang_words
from archestra_gateway.sandbox.policy import is_system, is_within

SHIMS = {
    ".pyenv/shims": ("pyenv", "which"),
    ".asdf/shims": ("asdf", "which"),
    ".local/share/mise/shims": ("mise", "which"),
    ".volta/bin": ("volta", "which"),
}
"""Folders of stand-ins, and who knows the program behind each."""

SHIM_TIMEOUT = 3.0
SHARED_ROOTS = ("/opt/homebrew", "/home/linuxbrew/.linuxbrew")
"""Their programs use each other's libraries."""

INTERPRETER = re.compile(r"(node|python[\d.]*|pypy[\d.]*|deno|bun|ruby|perl|php|bash|sh|tsx|ts-node)$")
PROJECT_FILES = ("package.json", "pyproject.toml", "setup.cfg", "setup.py", "deno.json", "requirements.txt")
DEEPEST = 5


@attrs.frozen
class Program:
    """`path` is what is started; `folders` go on PATH; `needs` are files and folders to be shown to it."""

    path: str
    folders: tuple[str, ...]
    needs: tuple[str, ...]


def resolve(program: str, args: Sequence[str], cwd: str, search: SearchPath, home: Path) -> Program:
    """Follow stand-ins, links, `#!` lines and virtual environments; `program` is an absolute path."""
    started = behind_shim(program, search, home)
    folders: list[str] = []
    needs: list[str] = []
    _collect(started, search, home, folders, needs, DEEPEST)
    if INTERPRETER.search(os.path.basename(started)) and (script := script_of(args, cwd)):
        needs += [script_root(script, home), script_root(os.path.realpath(script), home)]
    shown = tuple(dict.fromkeys(path for path in needs if not is_system(path)))
    if not is_system(started) and not any(is_within(started, path) for path in shown):
        started = os.path.realpath(started)
    return Program(started, tuple(dict.fromkeys(folders)), shown)


def behind_shim(program: str, search: SearchPath, home: Path) -> str:
    for folder, manager in SHIMS.items():
        if is_within(program, str(home / folder)):
            found = search.which(manager[0])
            return _asked(found, manager[1], os.path.basename(program)) if found else program
    return program


@lru_cache(maxsize=64)
def _asked(manager: str, verb: str, name: str) -> str:
    """The program itself, when the version manager knows none."""
    try:
        answer = subprocess.run(
            [manager, verb, name], capture_output=True, text=True, timeout=SHIM_TIMEOUT, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return name
    return answer.stdout.strip()


def _collect(
    program: str, search: SearchPath, home: Path, folders: list[str], needs: list[str], depth: int
) -> None:
    real = os.path.realpath(program)
    folders.append(os.path.dirname(program))
    needs.extend(installation(real, home))
    if os.path.isfile(os.path.join(os.path.dirname(program), "..", "pyvenv.cfg")):
        needs.extend(installation(program, home))
    interpreter = shebang(real, search)
    if interpreter and depth:
        needs.append(interpreter)  # a link, perhaps, which the kernel follows by this very path
        _collect(interpreter, search, home, folders, needs, depth - 1)


def installation(program: str, home: Path) -> list[str]:
    """The prefix that a program was installed into; the file alone where that would show too much."""
    for root in SHARED_ROOTS:
        if is_within(program, root):
            return [root]
    modules = node_modules(program)
    if modules:
        return [modules]
    prefix = os.path.dirname(os.path.dirname(program))
    if os.path.basename(os.path.dirname(program)) != "bin" or is_wide(prefix, home):
        return [program, *_libraries(prefix, home)]
    if os.path.isfile(os.path.join(prefix, "pyvenv.cfg")):
        return [prefix, *base_python(prefix)]
    return [prefix] if os.path.isdir(os.path.join(prefix, "lib")) else [program]


def _libraries(prefix: str, home: Path) -> list[str]:
    """`pip install --user` puts modules beside a person's own things."""
    library = os.path.join(prefix, "lib")
    return [library] if prefix == str(home / ".local") and os.path.isdir(library) else []


def base_python(environment: str) -> list[str]:
    """Where a virtual environment has its interpreter and standard library from."""
    text = Path(environment, "pyvenv.cfg").read_text(errors="replace")
    found = re.search(r"(?m)^home\s*=\s*(.+?)\s*$", text)
    if found is None:
        return []
    named = os.path.dirname(found[1])  # perhaps through a link that names the minor version only
    return [named, os.path.realpath(named)]


def shebang(program: str, search: SearchPath) -> str | None:
    """The interpreter of a script, `#!/usr/bin/env node` looked up as the script will."""
    if name := interpreter_name(program):
        return search.which(name)
    words = shebang_words(program)
    return words[0] if words and os.path.isabs(words[0]) else None


def script_of(args: Sequence[str], cwd: str) -> str | None:
    """What an interpreter is told to run: its first argument that is a file."""
    paths = (os.path.join(cwd, argument) for argument in args if not argument.startswith("-"))
    return next((path for path in paths if os.path.isfile(path)), None)


def script_root(script: str, home: Path) -> str:
    """The installed packages or the project around a script; else its folder, or the script alone."""
    script = os.path.abspath(script)
    if modules := node_modules(script):
        return modules
    folder = Path(script).parent
    for candidate in (folder, *folder.parents):
        if is_wide(str(candidate), home):
            break
        if any((candidate / name).is_file() for name in PROJECT_FILES):
            return str(candidate)
    return script


def node_modules(path: str) -> str | None:
    """The outermost `node_modules`, in which a package finds the others."""
    head, found, _ = path.partition("/node_modules/")
    return f"{head}/node_modules" if found else None


def is_wide(folder: str, home: Path) -> bool:
    """Too much to be shown because of one program: a home, what is around it, its hidden common folders."""
    common = {str(home), *(str(home / name) for name in (".local", ".config", ".cache", ".local/share"))}
    return folder in common or is_within(str(home), folder) or folder in ("/", "/tmp", "/var/tmp", "/opt")  # noqa: S108

"""Which published package a command line runs. Pure."""

import os
import re
from collections.abc import Sequence

import attrs

RUNNERS = {
    ("npx",): "npm",
    ("bunx",): "npm",
    ("npm", "exec"): "npm",
    ("npm", "x"): "npm",
    ("pnpm", "dlx"): "npm",
    ("yarn", "dlx"): "npm",
    ("bun", "x"): "npm",
    ("uvx",): "pypi",
    ("uv", "tool", "run"): "pypi",
    ("pipx", "run"): "pypi",
}
FROM = {"npm": ("-p", "--package"), "pypi": ("--from", "--spec")}
WITH_VALUE = {
    "npm": ("--registry", "-c", "--call", "--prefix", "-w", "--workspace"),
    "pypi": ("--with", "--python", "-p", "--index", "--index-url", "--extra-index-url", "--index-strategy"),
}
DIRECT = re.compile(r"@?[A-Za-z0-9][A-Za-z0-9._/-]*")


@attrs.frozen
class Package:
    """`registry` is `npm` or `pypi`; `arguments` are the program's own."""

    registry: str
    name: str
    arguments: tuple[str, ...] = attrs.field(default=(), eq=False)


def package_of(command: str, args: Sequence[str]) -> Package | None:
    """None for what is not run by npx, uvx, pipx or the like."""
    words = [os.path.basename(command).removesuffix(".cmd").removesuffix(".exe"), *args]
    if words[0] in ("cmd", "cmd.exe") and [word.lower() for word in words[1:2]] == ["/c"]:
        words = words[2:]
    for runner, registry in RUNNERS.items():
        if tuple(words[: len(runner)]) == runner:
            return _named(registry, words[len(runner) :])
    return None


def _named(registry: str, words: Sequence[str]) -> Package | None:
    wanted = None
    rest = list(words)
    while rest and rest[0].startswith("-"):
        flag, has_value, value = rest.pop(0).partition("=")
        if flag == "--":
            break
        if not has_value and rest and flag in (*FROM[registry], *WITH_VALUE[registry]):
            value = rest.pop(0)
        if flag in FROM[registry] and wanted is None:
            wanted = value
    if not rest:
        return None
    name = plain_name(registry, wanted or rest[0])
    own = rest[1:] if rest[1:2] != ["--"] else rest[2:]
    return Package(registry, name, tuple(own)) if name else None


def plain_name(registry: str, text: str) -> str | None:
    """`@scope/name@1.2`, `name[extra]==1.2` without what follows the name; None for paths and addresses."""
    if registry == "npm":
        text = text[:1] + text[1:].partition("@")[0]
    else:
        text = re.split(r"[\[=<>!~;@ ]", text, maxsplit=1)[0]
        text = re.sub(r"[-_.]+", "-", text).lower()
    return text if DIRECT.fullmatch(text) else None

"""What `npx …`, `uvx …` and `pipx run …` name: their options understood, or a sentence about what is not."""

import os
from collections.abc import Callable, Mapping, Sequence

import attrs

from archestra_gateway.packages.package import (
    NotInstallable,
    Package,
    name_of,
    npm_requirement,
    pypi_requirement,
)

WORDS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "npx": ((),),
    "npm": (("exec",), ("x",)),
    "bunx": ((),),
    "pnpm": (("dlx",),),
    "uvx": ((),),
    "uv": (("tool", "run"),),
    "pipx": (("run",),),
}
"""The words after each program that make it install and run a package."""


@attrs.frozen
class Options:
    """Of one program: `flags` and `ignored` (with a value) change nothing here, `valued` are listened to."""

    flags: frozenset[str]
    ignored: frozenset[str]
    valued: Mapping[str, str]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NPX = Options(
    flags=_words(
        "-y --yes --no -q --quiet -s --silent --verbose --prefer-offline --prefer-online --offline"
        " --ignore-existing --no-install --bun --ignore-scripts"
    ),
    ignored=_words("--loglevel --cache"),
    valued={"-p": "package", "--package": "package", "--registry": "registry"},
)
UVX = Options(
    flags=_words(
        "-q --quiet -v --verbose --isolated --refresh -n --no-cache --offline --native-tls --no-progress"
        " --managed-python --no-managed-python --no-python-downloads --no-config --reinstall -U --upgrade"
        " --no-build --no-env-file --system-certs"
    ),
    ignored=_words("--refresh-package --cache-dir --python-preference --color --upgrade-package -P"),
    valued={
        "--from": "package",
        "--with": "with",
        "-p": "python",
        "--python": "python",
        "-i": "index",
        "--index-url": "index",
        "--default-index": "index",
        "--extra-index-url": "extra",
        "--index": "extra",
        "--prerelease": "prerelease",
        "--exclude-newer": "exclude_newer",
    },
)
PIPX = Options(
    flags=_words("--no-cache -q --quiet -v --verbose --fetch-missing-python"),
    ignored=frozenset(),
    valued={
        "--spec": "package",
        "--with": "with",
        "--python": "python",
        "-i": "index",
        "--index-url": "index",
    },
)

SETTINGS = {
    "registry": "npm_config_registry",
    "index": "UV_INDEX_URL",
    "extra": "UV_EXTRA_INDEX_URL",
    "prerelease": "UV_PRERELEASE",
    "exclude_newer": "UV_EXCLUDE_NEWER",
}


def parse(command: str, args: Sequence[str]) -> Package | None:
    """None for a command that installs nothing. Raises NotInstallable."""
    program = os.path.basename(command)
    for words in WORDS.get(program, ()):
        if tuple(args[: len(words)]) == words:
            try:
                return _PARSERS[program](args[len(words) :])
            except NotInstallable as error:
                raise NotInstallable(f"`{' '.join((program, *words))}`: {error}") from error
    return None


def _npm(args: Sequence[str]) -> Package:
    options, rest = _split(args, NPX)
    named = [npm_requirement(text) for text in options.get("package", [])]
    first, others = _first(rest)
    others = others[1:] if others[:1] == ("--",) else others
    if named:
        return Package("npm", tuple(named), first, others, settings=_settings(options))
    return Package("npm", (npm_requirement(first),), None, others, settings=_settings(options))


def _uvx(args: Sequence[str]) -> Package:
    options, rest = _split(args, UVX)
    first, others = _first(rest)
    source = options.get("package", [first])[-1]
    requirement = pypi_requirement(source)
    program = first if "package" in options else name_of("pypi", requirement)
    return _pypi(options, requirement, program, others)


def _pipx(args: Sequence[str]) -> Package:
    options, rest = _split(args, PIPX)
    first, others = _first(rest)
    requirement = pypi_requirement(options.get("package", [first])[-1])
    return _pypi(options, requirement, name_of("pypi", first), others)


def _pypi(options: Mapping[str, list[str]], requirement: str, program: str, args: tuple[str, ...]) -> Package:
    more = [part for text in options.get("with", []) for part in text.split(",") if part.strip()]
    return Package(
        "pypi",
        (requirement, *map(pypi_requirement, more)),
        program,
        args,
        python=next(reversed(options.get("python", [])), None),
        settings=_settings(options),
    )


_PARSERS: Mapping[str, Callable[[Sequence[str]], Package]] = {
    "npx": _npm,
    "npm": _npm,
    "bunx": _npm,
    "pnpm": _npm,
    "uvx": _uvx,
    "uv": _uvx,
    "pipx": _pipx,
}


def _split(args: Sequence[str], known: Options) -> tuple[dict[str, list[str]], list[str]]:
    """The options with their values, and everything from the first word that is none."""
    found: dict[str, list[str]] = {}
    rest = list(args)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word == "--":
            break
        option, has_value, value = word.partition("=")
        if option in known.flags:
            continue
        if option not in known.valued and option not in known.ignored:
            raise NotInstallable(f"the option {option} can not be followed by the gateway")
        if not has_value:
            if not rest:
                raise NotInstallable(f"the option {option} has no value")
            value = rest.pop(0)
        if option in known.valued:
            found.setdefault(known.valued[option], []).append(value)
    return found, rest


def _first(rest: list[str]) -> tuple[str, tuple[str, ...]]:
    if not rest:
        raise NotInstallable("no package is named")
    return rest[0], tuple(rest[1:])


def _settings(options: Mapping[str, list[str]]) -> dict[str, str]:
    return {SETTINGS[name]: " ".join(values) for name, values in options.items() if name in SETTINGS}

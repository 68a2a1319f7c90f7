"""A command line from somebody's README as a recipe. Pure: nothing is expanded, and nothing is run."""

import re
import shlex
from collections.abc import Mapping, Sequence
from itertools import pairwise
from urllib.parse import urlsplit

import attrs

from archestra_gateway.catalog.built_in import known, known_image
from archestra_gateway.catalog.package import package_of
from archestra_gateway.catalog.recipe import Recipe
from archestra_gateway.catalog.text import slug
from archestra_gateway.schemas.mcp_server import HttpConfig

VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
SHELL = ("|", "||", "&", "&&", ";", ">", ">>", "<", "2>&1")
CONTAINERS = ("docker", "podman", "nerdctl")
VALUELESS = {
    "-i", "-t", "-it", "-ti", "-d", "-P", "-q", "--rm", "--init", "--interactive", "--tty", "--detach",
    "--privileged", "--read-only", "--quiet", "--no-healthcheck", "--oom-kill-disable", "--publish-all",
}  # fmt: skip
GENERIC = {"index", "main", "server", "app", "cli", "start", "run", "dist", "build", "src", "bin"}
REPEATED = re.compile(r"^(mcp-server-|server-|mcp-)|(-mcp-server|-server|-mcp)$")


class NotACommand(ValueError):
    """The sentence says what is wrong."""


def read(text: str) -> Recipe:
    """`FOO=bar npx -y @scope/pkg --flag`, and how other programs are told (`claude mcp add NAME -- …`).

    Raises NotACommand.
    """
    words = _words(text)
    name = None
    if words[1:3] == ["mcp", "add"]:
        added = _added(words[3:])
        if added.url:
            return of_url(added.url, dict(added.headers), added.name)
        name, words = added.name, [*added.env, *added.command]
    env, words = _variables(words)
    if not words:
        raise NotACommand("There is no command in it")
    if words[0] == "sudo":
        raise NotACommand("It wants to be root; leave out `sudo`, as no MCP server may be that here")
    return of_command(words[0], words[1:], env, name)


def of_command(command: str, args: Sequence[str], env: Mapping[str, str], name: str | None = None) -> Recipe:
    """A program and its arguments; what it is called says how to name the server."""
    if command in CONTAINERS:
        return of_container([command, *args])
    if command in ("cmd", "cmd.exe") and [word.lower() for word in args[:1]] == ["/c"] and args[1:]:
        command, args = args[1], args[2:]
    package = package_of(command, args)
    if package is not None and package.name == "mcp-remote" and package.args:
        return _bridged(package.args, name)
    return Recipe(
        name=slug(name or proposed(command, args)),
        command=command,
        args=tuple((each,) for each in args),
        env=env,
    )


def of_url(url: str, headers: Mapping[str, str], name: str | None = None) -> Recipe:
    """A remote server; one that the list knows has its inputs."""
    entry = known(HttpConfig(transport="http", url=url))
    if entry and not headers:
        return attrs.evolve(entry.recipe("http"), name=slug(name or entry.id))
    return Recipe(name=slug(name or (entry.id if entry else host_name(url))), url=url, headers=headers)


def host_name(url: str) -> str:
    """`https://mcp.sentry.dev/mcp` → `sentry`."""
    labels = (urlsplit(url).hostname or "").split(".")
    known_by = [label for label in labels[:-1] or labels if label not in ("mcp", "api", "www", "docs")]
    return known_by[-1] if known_by and not labels[-1].isdigit() else "server"


def _bridged(arguments: Sequence[str], name: str | None) -> Recipe:
    """`npx mcp-remote URL --header "K: V"`, which the gateway does by itself."""
    headers = dict(_header(value) for flag, value in pairwise(arguments) if flag == "--header")
    made = of_url(arguments[0], headers, name)
    return attrs.evolve(
        made, notes=(*made.notes, "The gateway connects to it by itself, without mcp-remote.")
    )


def of_container(words: Sequence[str]) -> Recipe:
    """Containers are not run here; where the same server is in the list, it says so."""
    image = image_of(words)
    entry = known_image(image) if image else None
    refusal = "The gateway runs no containers: it confines programs by itself, without Docker"
    if entry:
        refusal += f". The same server is in the catalog: install `{entry.id}`"
    else:
        refusal += ". Look for the package of this server, or for its address"
    last = image.rpartition("/")[2].partition(":")[0] if image else words[0]
    return Recipe(name=entry.id if entry else slug(short(last)), problem=refusal)


def image_of(words: Sequence[str]) -> str | None:
    """The image of `docker run … IMAGE …`."""
    rest = list(words[1:])
    if rest[:1] == ["container"]:
        rest = rest[1:]
    if rest[:1] != ["run"]:
        return None
    rest = rest[1:]
    while rest and rest[0].startswith("-"):
        flag = rest.pop(0)
        if flag not in VALUELESS and "=" not in flag and rest:
            rest.pop(0)
    return rest[0] if rest else None


def proposed(command: str, args: Sequence[str]) -> str:
    """`@scope/server-files` → `files`, `node /srv/notes/dist/index.js` → `notes`."""
    package = package_of(command, args)
    if package is not None:
        return short(package.name.rpartition("/")[2])
    paths = [word for word in (*args, command) if "/" in word and not word.startswith("-")]
    parts = re.split(r"[/\\]", paths[0]) if paths else [command]
    for part in reversed(parts):
        stem = part.rpartition(".")[0] or part
        if stem and stem.lower() not in GENERIC:
            return short(stem)
    return command


def short(name: str) -> str:
    """Without the words that every server's name has."""
    shorter = REPEATED.sub("", REPEATED.sub("", name))
    return shorter or name


def _words(text: str) -> list[str]:
    joined = re.sub(r"\\\r?\n", " ", text.strip().removeprefix("$ "))
    try:
        words = shlex.split(joined)
    except ValueError as error:
        raise NotACommand(f"It can not be read as a command line: {error}") from error
    if any(word in SHELL or "$(" in word or "`" in word for word in words) or "\n" in joined:
        raise NotACommand("It is a script for a shell, not the command line of one program")
    return words


def _variables(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """`env A=1 B=2 command …` without its beginning."""
    rest = words[1:] if words[:1] == ["env"] else list(words)
    env = {}
    while rest and (match := VARIABLE.fullmatch(rest[0])):
        env[match[1]] = match[2]
        rest.pop(0)
    return env, rest


@attrs.frozen
class _Added:
    name: str
    command: list[str]
    url: str = ""
    env: list[str] = attrs.field(factory=list, repr=False)
    headers: list[tuple[str, str]] = attrs.field(factory=list, repr=False)


def _added(words: list[str]) -> _Added:
    """What comes after `claude mcp add`, `codex mcp add` and the like."""
    rest, found = list(words), list[str]()
    env, headers, url = list[str](), list[tuple[str, str]](), ""
    while rest and rest[0] != "--" and not (found and not rest[0].startswith("-")):
        flag, has_value, value = rest.pop(0).partition("=")
        if not flag.startswith("-"):
            found.append(flag + has_value + value)
            continue
        value = value if has_value else rest.pop(0) if rest else ""
        if flag in ("-e", "--env"):
            env.append(value)
        elif flag in ("-H", "--header"):
            headers.append(_header(value))
        elif flag == "--url":
            url = value
    rest = rest[1:] if rest[:1] == ["--"] else rest
    if not found:
        raise NotACommand("It does not say how the server is called")
    if rest[:1] and rest[0].startswith(("http://", "https://")):
        url, *more = rest
        headers += [_header(value) for flag, value in pairwise(more) if flag in ("-H", "--header")]
    return _Added(found[0], rest, url, env, headers)


def _header(text: str) -> tuple[str, str]:
    """`K: V`, or `K=V` as some write it."""
    separator = ":" if ":" in text else "="
    name, _, value = text.partition(separator)
    return name.strip(), value.strip()

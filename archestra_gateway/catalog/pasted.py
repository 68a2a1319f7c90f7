"""What people copy out of a README or another program's file, as recipes. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from archestra_gateway.catalog import command_line
from archestra_gateway.catalog.recipe import Input, Recipe
from archestra_gateway.catalog.text import objects, plain
from archestra_gateway.client_configs.formats import Format, load
from archestra_gateway.client_configs.found_server import FoundServer, normalise
from archestra_gateway.client_configs.json_tree import FormatError

SECTIONS = (
    "mcpServers",
    "servers",
    "context_servers",
    "mcp_servers",
    "mcp",
    "extensions",
    "amp.mcpServers",
)
FORMATS = (Format.JSONC, Format.TOML, Format.YAML)
MOST = 64
VARIABLE = re.compile(
    r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\{env:([A-Za-z_][A-Za-z0-9_]*)\}"
)
INPUT = re.compile(r"\$\{input:([^}]+)\}")
FOLDERS = ("workspaceFolder", "workspaceRoot", "WORKSPACE_FOLDER_PATHS")


class NotAConfig(ValueError):
    """The sentence says what is wrong."""


def read(pasted: Any) -> list[Recipe]:
    """Every server of a pasted text or object, whatever program it was written for. Raises NotAConfig."""
    document = parsed(pasted) if isinstance(pasted, str) else pasted
    if not isinstance(document, Mapping):
        raise NotAConfig("It is not an object with servers in it")
    inputs = {each.name: each for each in _inputs(document)}
    found = [_recipe(name, entry, inputs) for name, entry in _entries(document)][:MOST]
    recipes = [each for each in found if each]
    if not recipes:
        raise NotAConfig(
            "There is no MCP server in it: it should have `mcpServers` or `servers`, or be one entry with "
            "`command` or `url`"
        )
    return recipes


def parsed(text: str) -> Any:
    """JSON with comments, TOML or YAML; also members of an object without its braces. Raises NotAConfig."""
    for form, attempt in (
        (Format.JSONC, text),
        (Format.JSONC, f"{{{text}}}"),
        *((f, text) for f in FORMATS[1:]),
    ):
        try:
            return load(form, attempt)
        except FormatError:
            continue
    raise NotAConfig("It is neither JSON nor TOML nor YAML")


def of_found(found: FoundServer, inputs: Mapping[str, Input] | None = None) -> Recipe:
    """A server of some client's file."""
    made = _of_found(found)
    if made.problem:
        return made
    wanted: dict[str, Input] = {}
    replace = _replacer(wanted, inputs or {})
    return attrs.evolve(
        made,
        command=replace(made.command),
        args=tuple(tuple(map(replace, group)) for group in made.args),
        env={name: replace(text) for name, text in made.env.items()},
        url=replace(made.url),
        headers={name: replace(text) for name, text in made.headers.items()},
        inputs=(*made.inputs, *wanted.values()),
        enabled=found.is_enabled,
    )


def _of_found(found: FoundServer) -> Recipe:
    if found.url:
        return command_line.of_url(found.url, found.headers, found.name or None)
    command, args = found.command, found.args
    if not args and " " in command and "/" not in command.partition(" ")[0]:
        command, *args = command.split()  # type: ignore[assignment]
    return command_line.of_command(command, args, found.env, found.name or None)


def _recipe(name: str, entry: Any, inputs: Mapping[str, Input]) -> Recipe | None:
    found = normalise(name, entry)
    if found is None:
        return None
    made = of_found(found, inputs)
    cwd = entry.get("cwd")
    return attrs.evolve(made, cwd=cwd) if isinstance(cwd, str) and made.command else made


def _entries(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if normalise("", document) is not None:
        yield str(document.get("name") or ""), document
        return
    for key in SECTIONS:
        section = document.get(key)
        if isinstance(section, list):
            yield from ((str(each.get("name", "")), each) for each in objects(section))
            return
        if isinstance(section, Mapping):
            yield from _entries(section) if normalise("", section) is None else [(key, section)]
            return
    yield from ((str(name), entry) for name, entry in document.items())


def _inputs(document: Mapping[str, Any]) -> Iterator[Input]:
    """VS Code's `inputs`, beside `servers`."""
    held = document.get("mcp")
    for data in objects(
        document.get("inputs") or (held.get("inputs") if isinstance(held, Mapping) else None)
    ):
        if isinstance(name := data.get("id"), str) and name:
            default = data.get("default")
            options = data.get("options")
            yield Input(
                name=_name(name),
                title=_name(name),
                description=plain(data.get("description"), 500),
                secret=data.get("password") is True,
                default=(default,) if isinstance(default, str) and default else (),
                choices=tuple(map(str, options[:MOST])) if isinstance(options, list) else (),
            )


def _replacer(wanted: dict[str, Input], inputs: Mapping[str, Input]) -> Callable[[str], str]:
    """What another program would fill in becomes an input; `wanted` gets those that occur."""

    def asked(match: re.Match[str]) -> str:
        name = _name(match[1])
        wanted.setdefault(name, inputs.get(name, Input(name=name, title=name)))
        return f"${{input:{name}}}"

    def variable(match: re.Match[str]) -> str:
        name = match[1] or match[3]
        default = (match[2],) if match[2] else ()
        kind = "folder" if name in FOLDERS else "text"
        wanted.setdefault(name, Input(name=name, title=name, type=kind, default=default))  # type: ignore[arg-type]
        return f"${{input:{name}}}"

    return lambda text: VARIABLE.sub(variable, INPUT.sub(asked, text))


def _name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text)[:64]

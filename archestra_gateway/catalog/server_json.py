"""`server.json` (schema 2025-12-11) as recipes: one for each way in which the server can be used. Pure.

https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import attrs

from archestra_gateway.catalog.package import is_name
from archestra_gateway.catalog.recipe import Grants, Input, InputType, Recipe
from archestra_gateway.catalog.text import objects, plain, slug
from archestra_gateway.packages.public import is_public

NAME = re.compile(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+!_-]{0,254}")
VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.-]{0,127})\}")
DIGEST = re.compile(r"[0-9a-f]{64}")
LONGEST = 4096
MOST = 64
FORMATS: Mapping[str, InputType] = {"number": "number", "boolean": "boolean", "filepath": "file"}

Variant = Literal["npm", "pypi", "mcpb", "http"]

REMOTES = ("streamable-http", "sse")
"""The kinds of remote servers, the better first."""

RUNNERS = {"npm": ("npx", ("-y",)), "pypi": ("uvx", ())}
REFUSALS = {
    "oci": "It comes as a container, which the gateway does not run: it confines programs without Docker",
    "nuget": "It is a .NET package, which the gateway does not install",
    "cargo": "It is a Rust package: install it with cargo, and add the command that it brings",
    "go": "It is a Go package: install it with go, and add the command that it brings",
}
Json = Mapping[str, Any]


@attrs.frozen
class Source:
    """One way: a package or a remote address."""

    variant: Variant
    data: Json


def variants(document: Json) -> list[Variant]:
    """Those that the gateway can use, the preferred one first."""
    return list(dict.fromkeys(source.variant for source in _usable(document)))


def read(document: Json, variant: Variant | None = None) -> Recipe:
    """A recipe with a `problem` where the server can not be used, or not in that way."""
    head = _head(document)
    found = [source for source in _usable(document) if variant in (None, source.variant)]
    if not found:
        return attrs.evolve(head, problem=_refusal(document, variant))
    source = found[0]
    if source.variant == "http":
        return _remote(head, source.data)
    return _bundle(head, source.data) if source.variant == "mcpb" else _package(head, source)


def _head(document: Json) -> Recipe:
    name = document.get("name")
    last = name.rpartition("/")[2] if isinstance(name, str) else ""
    return Recipe(
        name=slug(last),
        title=plain(document.get("title"), 100) or last[:100],
        description=plain(document.get("description"), 300),
    )


def _usable(document: Json) -> list[Source]:
    packages = [_source(package) for package in objects(document.get("packages"))]
    remotes = [
        Source("http", remote)
        for kind in REMOTES
        for remote in objects(document.get("remotes"))
        if remote.get("type") == kind and isinstance(remote.get("url"), str)
    ]
    order = get_args(Variant)
    found = [*filter(None, packages), *remotes]
    return sorted(found, key=lambda source: order.index(source.variant))


def _source(package: Json) -> Source | None:
    kind, transport = package.get("registryType"), package.get("transport")
    is_stdio = isinstance(transport, dict) and transport.get("type") == "stdio"
    if not is_stdio or not isinstance(package.get("identifier"), str):
        return None
    home = str(package.get("registryBaseUrl") or "")
    if kind == "npm" or kind == "pypi":
        return Source(kind, package) if not home or is_public(kind, home) else None
    return Source("mcpb", package) if kind == "mcpb" else None


def _refusal(document: Json, variant: Variant | None) -> str:
    packages, remotes = objects(document.get("packages")), objects(document.get("remotes"))
    if variant:
        return f"It does not come as {variant}"
    for package in packages:
        if (kind := package.get("registryType")) in REFUSALS:
            return REFUSALS[kind]
        if package.get("registryBaseUrl"):
            return "It comes from another package registry than the usual one"
        return "It is started as a web server of its own, which the gateway does not do"
    if remotes:
        return "It is reached in a way that the gateway does not know"
    return "It says neither which package it is nor at which address"


def _package(head: Recipe, source: Source) -> Recipe:
    package, kind = source.data, source.variant
    name, version = package["identifier"], package.get("version")
    if not is_name(kind, name):
        return attrs.evolve(head, problem=f"{plain(name)} is not the name of a package")
    if version is not None and not (isinstance(version, str) and VERSION.fullmatch(version)):
        return attrs.evolve(head, problem=f"{plain(version)} is not the version of a package")
    command, flags = RUNNERS[kind]
    form = Form()
    runtime = [form.argument(each) for each in objects(package.get("runtimeArguments"))]
    own = [form.argument(each) for each in objects(package.get("packageArguments"))]
    env = form.table(objects(package.get("environmentVariables")))
    usual = [(flag,) for flag in flags]
    given = [group for group in runtime if group not in usual]
    wanted = f"{name}@{version}" if version else name
    args = (*usual, *given, (wanted,), *own)
    return attrs.evolve(
        head,
        command=command,
        args=tuple(filter(None, args)),
        env=env,
        inputs=form.inputs,
        grants=form.grants,
    )


def _bundle(head: Recipe, package: Json) -> Recipe:
    url, digest = package["identifier"], package.get("fileSha256")
    if not (isinstance(digest, str) and DIGEST.fullmatch(digest)):
        return attrs.evolve(head, problem="Its bundle has no SHA-256, by which it could be told from another")
    return attrs.evolve(
        head,
        bundle=digest,
        problem=f"It comes as a bundle: download {plain(url, 500)}, and upload it here",
    )


def _remote(head: Recipe, remote: Json) -> Recipe:
    form = Form()
    variables = remote.get("variables")
    url = form.template(remote["url"][:LONGEST], variables if isinstance(variables, dict) else {})
    headers = form.table(objects(remote.get("headers")))
    return attrs.evolve(head, url=url, headers=headers, inputs=form.inputs)


class Form:
    """Collects the inputs of a document while its templates are read."""

    def __init__(self) -> None:
        self._inputs: dict[str, Input] = {}

    @property
    def inputs(self) -> tuple[Input, ...]:
        return tuple(self._inputs.values())

    @property
    def grants(self) -> Grants:
        """What a person names as a file may be read."""
        files = (each.name for each in self._inputs.values() if each.type == "file")
        return Grants(read_only=tuple(f"${{input:{name}}}" for name in files))

    def argument(self, data: Json) -> tuple[str, ...]:
        """A positional or named argument as a group."""
        flag = data.get("name") if data.get("type") == "named" else None
        if flag is not None and not (isinstance(flag, str) and flag):
            return ()
        label = flag.lstrip("-") if flag else data.get("valueHint")
        has_value = any(key in data for key in ("value", "default", "isRequired", "choices", "format"))
        if flag and not has_value:
            return (flag,)
        value = self._value(data, label if isinstance(label, str) else "argument")
        if not flag:
            return (value,)
        return (f"{flag}={value}",) if flag.startswith("--") else (flag, value)

    def table(self, entries: Iterable[Json]) -> dict[str, str]:
        """Environment variables or headers."""
        return {
            each["name"]: self._value(each, each["name"])
            for each in entries
            if isinstance(each.get("name"), str)
        }

    def template(self, text: str, variables: Json) -> str:
        """`{name}` for the variables that there are; what is not among them stays as it is."""

        def placeholder(match: re.Match[str]) -> str:
            found = variables.get(match[1])
            return self._placeholder(match[1], found) if isinstance(found, dict) else match[0]

        return VARIABLE.sub(placeholder, text)

    def _value(self, data: Json, label: str) -> str:
        if isinstance(data.get("value"), str):
            variables = data.get("variables")
            return self.template(data["value"][:LONGEST], variables if isinstance(variables, dict) else {})
        return self._placeholder(label, data)

    def _placeholder(self, label: str, data: Json) -> str:
        if isinstance(data.get("value"), str):
            return str(data["value"][:LONGEST])
        made = _input(_name(label), data)
        number = 2
        while self._inputs.get(made.name, made) != made:
            made = _input(f"{_name(label)}_{number}", data)
            number += 1
        self._inputs[made.name] = made
        return f"${{input:{made.name}}}"


def _name(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", label)[:64].strip("_") or "value"


def _input(name: str, data: Json) -> Input:
    default, choices = data.get("default"), data.get("choices")
    options = [each for each in choices[:MOST] if isinstance(each, str)] if isinstance(choices, list) else []
    return Input(
        name=name,
        title=name,
        description=plain(data.get("description"), 500),
        type=FORMATS.get(str(data.get("format")), "text"),
        required=data.get("isRequired") is True,
        secret=data.get("isSecret") is True,
        multiple=data.get("isRepeated") is True,
        default=(default[:LONGEST],) if isinstance(default, str) and default else (),
        choices=tuple(each[:LONGEST] for each in options),
        placeholder=plain(data.get("placeholder"), 200),
    )

"""The built-in list (servers.toml), and what it knows of servers that were described elsewhere."""

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import attrs

from archestra_gateway.catalog.package import identity, package_of
from archestra_gateway.catalog.recipe import Grants, Input, Recipe, names
from archestra_gateway.sandbox.policy import is_within
from archestra_gateway.schemas.mcp_server import HttpConfig, ServerConfig, StdioConfig
from archestra_gateway.schemas.permissions import UNGRANTABLE, Permissions

LIST = Path(__file__).with_name("servers.toml")

Variant = Literal["stdio", "http"]


@attrs.frozen(kw_only=True)
class InputTable:
    """An input as servers.toml has it."""

    title: str
    description: str
    type: Literal["text", "number", "boolean", "folder", "file"] = "text"
    required: bool = True
    secret: bool = False
    multiple: bool = False
    default: str | list[str] | None = None
    choices: list[str] = attrs.field(factory=list)
    placeholder: str = ""


@attrs.frozen(kw_only=True)
class ServerTable:
    """A server as servers.toml has it; its head says what each member means."""

    title: str
    description: str
    homepage: str
    tags: list[str]
    command: str = ""
    args: list[str | list[str]] = attrs.field(factory=list)
    env: dict[str, str] = attrs.field(factory=dict)
    url: str = ""
    headers: dict[str, str] = attrs.field(factory=dict)
    login: bool = False
    prefer: Variant | None = None
    read_only: list[str] = attrs.field(factory=list)
    read_write: list[str] = attrs.field(factory=list)
    hosts: list[str] = attrs.field(factory=list)
    whole_network: bool = False
    local_sockets: bool = False
    images: list[str] = attrs.field(factory=list)
    inputs: dict[str, InputTable] = attrs.field(factory=dict)


@attrs.frozen
class Entry:
    id: str
    table: ServerTable

    @property
    def variants(self) -> tuple[Variant, ...]:
        """How it can be used, the preferred way first."""
        ways: list[Variant] = ["stdio"] if self.table.command else []
        ways += ["http"] if self.table.url else []
        return (
            tuple(sorted(ways, key=lambda way: way != self.table.prefer))
            if self.table.prefer
            else tuple(ways)
        )

    @property
    def package(self) -> tuple[str, str] | None:
        words = [part for each in self.table.args for part in ([each] if isinstance(each, str) else each)]
        found = package_of(self.table.command, words) if self.table.command else None
        return identity(found) if found else None

    def recipe(self, variant: Variant | None = None) -> Recipe:
        table = self.table
        chosen = variant or self.variants[0]
        inputs = tuple(_input(name, given) for name, given in table.inputs.items())
        note = "It asks for a login, which you start when it is installed."
        base = Recipe(
            name=self.id,
            title=table.title,
            description=table.description,
            inputs=inputs,
            is_ours=True,
            notes=(note,) if chosen == "http" and table.login else (),
        )
        if chosen == "http":
            made = attrs.evolve(base, url=table.url, headers=table.headers)
        else:
            groups = ((each,) if isinstance(each, str) else tuple(each) for each in table.args)
            made = attrs.evolve(
                base, command=table.command, args=tuple(groups), env=table.env, grants=self.grants
            )
        return attrs.evolve(made, inputs=tuple(each for each in inputs if each.name in made.used()))

    @property
    def grants(self) -> Grants:
        table = self.table
        return Grants(
            read_only=tuple(table.read_only),
            read_write=tuple(table.read_write),
            hosts=tuple(table.hosts),
            whole_network=table.whole_network,
            local_sockets=table.local_sockets,
        )


def _input(name: str, table: InputTable) -> Input:
    default = (table.default,) if isinstance(table.default, str) else tuple(table.default or ())
    return Input(
        name=name,
        title=table.title,
        description=table.description,
        type=table.type,
        required=table.required,
        secret=table.secret,
        multiple=table.multiple,
        default=default,
        choices=tuple(table.choices),
        placeholder=table.placeholder,
    )


@cache
def entries() -> Mapping[str, Entry]:
    """By id, in the order of the file; read when it is first asked for."""
    tables = tomllib.loads(LIST.read_text("utf-8"))
    return {name: Entry(name, _server(table)) for name, table in tables.items()}


def _server(table: dict[str, Any]) -> ServerTable:
    inputs = {name: InputTable(**given) for name, given in table.pop("inputs", {}).items()}
    return ServerTable(**table, inputs=inputs)


def known(config: ServerConfig) -> Entry | None:
    """The entry of the same package or address."""
    if isinstance(config, HttpConfig):
        url = config.url.rstrip("/")
        return next((each for each in entries().values() if each.table.url.rstrip("/") == url), None)
    package = package_of(config.command, config.args)
    return _by_package().get(identity(package)) if package else None


def known_image(image: str) -> Entry | None:
    """The entry of the same server in a container."""
    name = image.partition("@")[0]
    head, _, last = name.rpartition("/")
    name = f"{head}/{last.partition(':')[0]}".removeprefix("docker.io/")
    return next((each for each in entries().values() if name in each.table.images), None)


@cache
def _by_package() -> Mapping[tuple[str, str], Entry]:
    return {each.package: each for each in entries().values() if each.package}


def known_permissions(config: ServerConfig) -> Permissions | None:
    """Those that fit a server of the list, wherever its configuration comes from."""
    entry = known(config)
    if entry is None or not isinstance(config, StdioConfig):
        return None
    grants = entry.grants
    paths = list(dict.fromkeys(_paths(entry, config)))
    return Permissions(
        read_only=paths if grants.read_only else [],
        read_write=paths if grants.read_write else [],
        hosts=[host for host in grants.hosts if not names(host)],
        whole_network=grants.whole_network,
        local_sockets=grants.local_sockets,
    )


def _paths(entry: Entry, config: StdioConfig) -> Iterator[str]:
    """The folders among the arguments and in the variables in which the list has some, but no whole home."""
    wanted = {*_inputs_of((*entry.grants.read_only, *entry.grants.read_write))}
    package = package_of(config.command, config.args)
    texts = [text.rpartition("=")[2] for text in (package.args if package else ())]
    texts += [config.env.get(name, "") for name, text in entry.table.env.items() if wanted & {*names(text)}]
    for path in map(os.path.expanduser, texts if wanted else ()):
        if not os.path.isabs(path):
            continue
        is_file = any(entry.table.inputs[name].type == "file" for name in wanted)
        outer = os.path.dirname(path) if is_file else path
        if not _is_too_much(outer):
            yield outer
        elif is_file:
            yield path


def _is_too_much(path: str) -> bool:
    path = os.path.normpath(path)
    return path in UNGRANTABLE or is_within(str(Path.home()), path)


def _inputs_of(templates: Iterable[str]) -> Iterator[str]:
    return (name for template in templates for name in names(template))

"""A server that could be installed, wherever it was described: templates with `${input:NAME}`. Pure."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import attrs

from archestra_gateway.schemas.mcp_server import HttpConfig, ServerConfig, StdioConfig
from archestra_gateway.schemas.permissions import Permissions

InputType = Literal["text", "number", "boolean", "folder", "file"]
Values = Mapping[str, tuple[str, ...]]
"""What was given for each input; a name that is not in it was left out."""

PLACEHOLDER = re.compile(r"\$\{(input|folder):([^${}\s]{1,128})\}")
"""`${folder:NAME}` is the folder in which the file that was given for NAME lies."""


@attrs.frozen(kw_only=True)
class Input:
    """Something that only a person can tell."""

    name: str
    title: str = ""
    description: str = ""
    type: InputType = "text"
    required: bool = True
    secret: bool = False
    multiple: bool = False
    default: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    placeholder: str = ""
    min: float | None = None
    max: float | None = None


@attrs.frozen(kw_only=True)
class Grants:
    """What fits the server, as templates."""

    read_only: tuple[str, ...] = ()
    read_write: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    whole_network: bool = False
    local_sockets: bool = False


@attrs.frozen(kw_only=True)
class Recipe:
    """`command` with `args`, or a `url`. Each of the `args` is a group of texts: it is left out where one of
    its inputs is, and repeated for every value of an input that has several.

    `name` is a proposal; `problem` says why it can not be installed; `is_ours` tells the built-in list from
    what strangers wrote; `bundle` is the file that has the program.
    """

    name: str
    title: str = ""
    description: str = ""
    command: str = ""
    args: tuple[tuple[str, ...], ...] = ()
    env: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    cwd: str | None = None
    url: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    inputs: tuple[Input, ...] = ()
    grants: Grants = attrs.field(factory=Grants)
    notes: tuple[str, ...] = ()
    problem: str | None = None
    enabled: bool = True
    is_ours: bool = False
    bundle: str | None = None

    @property
    def is_remote(self) -> bool:
        return bool(self.url)

    def texts(self) -> Iterable[str]:
        """Every template, and what inputs have by themselves."""
        yield from (self.command, self.url, self.cwd or "", *self.env.values(), *self.headers.values())
        yield from (part for group in self.args for part in group)
        yield from (*self.grants.read_only, *self.grants.read_write, *self.grants.hosts)
        yield from (text for given in self.inputs for text in given.default)

    def used(self) -> frozenset[str]:
        """The names of the inputs that some template has in it."""
        return frozenset(name for text in self.texts() for name in names(text))

    def exposed(self) -> frozenset[str]:
        """The inputs that everybody who lists processes or reads addresses would see."""
        shown = [self.command, self.url, self.cwd or "", *(part for group in self.args for part in group)]
        return frozenset(name for text in shown for name in names(text))


def names(text: str) -> list[str]:
    """The inputs that a template has in it."""
    return [match[1] for match in PLACEHOLDER.findall(text)]


def config_of(recipe: Recipe, values: Values) -> ServerConfig:
    """The configuration that the values make. Raises ValueError where they do not fit."""
    if recipe.is_remote:
        [url] = filled([recipe.url], values) or [""]
        return HttpConfig(transport="http", url=url, headers=_table(recipe.headers, values))
    [command] = filled([recipe.command], values) or [""]
    args = [part for group in recipe.args for part in filled(group, values)]
    return StdioConfig(command=command, args=args, env=_table(recipe.env, values), cwd=recipe.cwd)


def permissions_of(recipe: Recipe, values: Values) -> Permissions:
    """The permissions that the values make. Raises ValueError where they do not fit."""
    grants = recipe.grants
    return Permissions(
        read_only=_list(grants.read_only, values),
        read_write=_list(grants.read_write, values),
        hosts=_list(grants.hosts, values),
        whole_network=grants.whole_network,
        local_sockets=grants.local_sockets,
    )


def filled(group: Sequence[str], values: Values) -> list[str]:
    """The group with the values in it, once for each value of the input that has several."""
    used = {name for text in group for name in names(text)}
    if not used <= values.keys():
        return []
    times = max((len(values[name]) for name in used), default=1)
    return [_filled(text, values, turn) for turn in range(times) for text in group]


def _filled(text: str, values: Values, turn: int) -> str:
    def value(match: re.Match[str]) -> str:
        given = values[match[2]]
        chosen = given[min(turn, len(given) - 1)]
        return os.path.dirname(chosen) if match[1] == "folder" else chosen

    return PLACEHOLDER.sub(value, text)


def _table(templates: Mapping[str, str], values: Values) -> dict[str, str]:
    """Variables hold one text, in which several values are separated by commas."""
    joined = {name: (",".join(given),) for name, given in values.items()}
    made = {name: filled([text], joined) for name, text in templates.items()}
    return {name: text[0] for name, text in made.items() if text}


def _list(templates: Iterable[str], values: Values) -> list[str]:
    return list(dict.fromkeys(text for template in templates for text in filled([template], values)))

"""What one MCP client sees of everything that is there, under which names, and where each leads. Pure."""

import re
from collections import Counter
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cached_property

import attrs

from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.protocol.tool_name import LEGAL, SEPARATOR, qualified
from archestra_gateway.upstreams.description import Description, Item, Kind


@attrs.frozen
class Visibility:
    """What a client may see; None: everything. Tools are named as on /mcp, or by patterns (`files__*`)."""

    client: str = ""
    servers: frozenset[str] | None = None
    tools: frozenset[str] | None = None

    def shows_server(self, name: str) -> bool:
        return self.servers is None or name in self.servers

    def shows_tool(self, name: str) -> bool:
        return self.tools is None or any(fnmatchcase(name, pattern) for pattern in self.tools)


EVERYTHING = Visibility()


@attrs.frozen
class Target:
    """Something of one server; `kind` is what the server calls the list that it is in."""

    server: str
    kind: Kind
    item: Item

    def shown(self, name: str) -> Message:
        return self.item.renamed(self.kind, name)


@attrs.frozen
class View:
    """Name or URI → what it means."""

    tools: Mapping[str, Target]
    prompts: Mapping[str, Target]
    resources: Mapping[str, Target]
    templates: Mapping[str, Target]
    readers: tuple[str, ...]
    """Servers that may know resources which they do not list."""
    instructions: Mapping[str, str]

    @cached_property
    def lists(self) -> Mapping[Kind, list[Message]]:
        kinds: dict[Kind, Mapping[str, Target]] = {
            "tools": self.tools,
            "prompts": self.prompts,
            "resources": self.resources,
            "resourceTemplates": self.templates,
        }
        return {kind: [target.shown(name) for name, target in of.items()] for kind, of in kinds.items()}

    def owners(self, uri: str) -> list[str]:
        """Who could read it, the likeliest first."""
        listed = [self.resources[uri].server] if uri in self.resources else []
        fitting = [target.server for template, target in self.templates.items() if fits(uri, template)]
        return list(dict.fromkeys([*listed, *fitting, *self.readers]))


def view(
    descriptions: Mapping[str, Description],
    filters: Mapping[str, frozenset[str]],
    visibility: Visibility,
    *,
    is_plain: bool,
    taken: frozenset[str] = frozenset(),
) -> View:
    """`filters` are the tools that a server may offer; names that are `taken` are nobody's plain names."""
    shown = {name: each for name, each in descriptions.items() if visibility.shows_server(name)}
    tools = [
        target
        for target in _targets(shown, "tools")
        if target.server not in filters or target.item.name in filters[target.server]
    ]
    named = _named(tools, taken if is_plain else None)
    return View(
        tools={name: target for name, target in named.items() if _is_shown(visibility, name, target)},
        prompts=_named(_targets(shown, "prompts"), taken if is_plain else None),
        resources=_by_own_name(_targets(shown, "resources")),
        templates=_by_own_name(_targets(shown, "resourceTemplates")),
        readers=tuple(name for name, each in shown.items() if "resources" in each.capabilities),
        instructions={name: each.instructions for name, each in shown.items() if each.instructions},
    )


def fits(uri: str, template: str) -> bool:
    """Whether a URI can come from a template (RFC 6570); only its fixed parts are looked at."""
    fixed = re.split(r"\{[^{}]*\}", template)
    return re.fullmatch(".*?".join(map(re.escape, fixed)), uri, re.DOTALL) is not None


def _targets(descriptions: Mapping[str, Description], kind: Kind) -> list[Target]:
    return [
        Target(server, kind, item)
        for server in sorted(descriptions)
        for item in descriptions[server].items.get(kind, ())
    ]


def _named(targets: list[Target], taken: frozenset[str] | None) -> dict[str, Target]:
    """Under `server__name`; under the plain name where that is legal, nobody else's and not `taken`."""
    counts = Counter(target.item.name for target in targets)
    names: dict[str, Target] = {}
    for target in targets:
        plain = target.item.name
        is_clear = taken is not None and counts[plain] == 1 and _can_stand_alone(plain, taken)
        names.setdefault(plain if is_clear else qualified(target.server, plain), target)
    return names


def _can_stand_alone(plain: str, taken: frozenset[str]) -> bool:
    return SEPARATOR not in plain and plain not in taken and LEGAL.fullmatch(plain) is not None


def _by_own_name(targets: list[Target]) -> dict[str, Target]:
    """A URI means what it means for the first server, by name, that lists it."""
    found: dict[str, Target] = {}
    for target in targets:
        found.setdefault(target.item.name, target)
    return found


def _is_shown(visibility: Visibility, name: str, target: Target) -> bool:
    return visibility.shows_tool(name) or visibility.shows_tool(qualified(target.server, target.item.name))

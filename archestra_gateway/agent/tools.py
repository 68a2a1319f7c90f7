"""Which tools a run has: of the enabled servers and of the client, as the request wants them. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from archestra_gateway.errors import ValidationFailed
from archestra_gateway.protocol.tool_definition import digest
from archestra_gateway.protocol.tool_name import SEPARATOR, qualified
from archestra_gateway.providers.conversation import Tool

EVERYTHING = "*"
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@attrs.frozen
class Offered:
    """One tool of this run; without a `server` it is the client's to run."""

    tool: Tool
    server: str = ""
    tool_name: str = ""
    annotations: Mapping[str, Any] = attrs.field(factory=dict)
    definition: str = ""
    """A digest of the tool as its server describes it: a permission is for what was seen."""

    @property
    def is_ours(self) -> bool:
        return self.server != ""


def offered(server: str, described: Mapping[str, Any]) -> Offered | None:
    """A server's tool; None for one that says too little."""
    name = described.get("name")
    if not isinstance(name, str) or not name:
        return None
    schema = described.get("inputSchema")
    annotations = described.get("annotations")
    tool = Tool(
        qualified(server, name),
        str(described.get("description") or described.get("title") or name),
        schema if isinstance(schema, dict) else {},
    )
    return Offered(
        tool, server, name, annotations if isinstance(annotations, dict) else {}, digest(described)
    )


def client_tools(wanted: Iterable[Any] | None) -> list[Offered]:
    """The objects among a request's `tools`. Raises ValidationFailed."""
    return [_client_tool(place, item) for place, item in enumerate(wanted or ()) if not isinstance(item, str)]


def _client_tool(place: int, item: Any) -> Offered:
    name = item.get("name") if isinstance(item, dict) else None
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValidationFailed(
            "The tools do not fit",
            fields=[
                f"`tools[{place}]` must be a tool's or server's name, or an object with a `name` of letters, "
                "digits, `_` and `-`, a `description` and an `inputSchema`"
            ],
        )
    schema = item.get("inputSchema") or item.get("parameters")
    return Offered(
        Tool(name, str(item.get("description") or name), schema if isinstance(schema, dict) else {})
    )


def wanted_names(wanted: Iterable[Any] | None) -> frozenset[str]:
    """The names among a request's `tools`; without any `tools` everything is wanted."""
    if wanted is None:
        return frozenset({EVERYTHING})
    return frozenset(item for item in wanted if isinstance(item, str))


def wants_server(names: frozenset[str], server: str) -> bool:
    """Whether any tool of it may be wanted, which is known before it is asked for them."""
    if EVERYTHING in names or server in names:
        return True
    return any(name.startswith(server[:40]) for name in names)


def wants_tool(names: frozenset[str], tool: Offered) -> bool:
    return bool(
        names & {EVERYTHING, tool.server, tool.tool.name, f"{tool.server}{SEPARATOR}{tool.tool_name}"}
    )


def table(tools: Iterable[Offered]) -> dict[str, Offered]:
    """By name; the first of two with one name stays."""
    found: dict[str, Offered] = {}
    for tool in tools:
        found.setdefault(tool.tool.name, tool)
    return found


def resolve(tools: Mapping[str, Offered], name: str) -> Offered | None:
    """Models leave the server's name away; where the rest is clear, it is understood."""
    if (exact := tools.get(name)) is not None:
        return exact
    meant = [tool for tool in tools.values() if name in (tool.tool_name, f"{tool.server}.{tool.tool_name}")]
    return meant[0] if len(meant) == 1 else None

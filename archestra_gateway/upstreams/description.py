"""What a live MCP server offers: tools, resources, templates and prompts, each in the server's own words."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import attrs
import msgspec
from msgspec import Raw

from archestra_gateway.errors import UpstreamError
from archestra_gateway.protocol import jsonrpc, mcp
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.tools import error_text
from archestra_gateway.upstreams.upstream import Upstream

MOST_PAGES = 100

Kind = Literal["tools", "resources", "resourceTemplates", "prompts"]

KINDS: Mapping[Kind, tuple[str, str, str]] = {
    "tools": ("tools/list", "name", "tools"),
    "resources": ("resources/list", "uri", "resources"),
    "resourceTemplates": ("resources/templates/list", "uriTemplate", "resources"),
    "prompts": ("prompts/list", "name", "prompts"),
}
"""Kind → the method that lists it, the member that names it, the capability that announces it."""


@attrs.frozen
class Item:
    """One thing that is offered; `text` is its whole description."""

    name: str
    text: Raw

    def renamed(self, kind: Kind, name: str) -> Message:
        """Under another name, and not a byte else changed."""
        return {**jsonrpc.decode(bytes(self.text)), KINDS[kind][1]: jsonrpc.raw(name)}

    def value(self) -> dict[str, Any]:
        value: dict[str, Any] = jsonrpc.value(self.text)
        return value


@attrs.frozen
class Description:
    capabilities: Mapping[str, Any]
    instructions: str
    items: Mapping[Kind, tuple[Item, ...]]

    @property
    def tools(self) -> tuple[Item, ...]:
        return self.items["tools"]

    def with_tools(self, more: Iterable[Item]) -> "Description":
        return attrs.evolve(self, items={**self.items, "tools": (*self.tools, *more)})

    def without(self, is_held: Callable[[Item], bool]) -> "Description":
        """The same, but for some of its tools."""
        kept = tuple(item for item in self.tools if not is_held(item))
        return attrs.evolve(self, items={**self.items, "tools": kept})


async def describe(upstream: Upstream, initialized: Raw | None) -> Description:
    """`initialized` is the result of `initialize`. Raises GatewayError when not even tools can be told."""
    capabilities = mcp.member(initialized, "capabilities")
    declared = capabilities if isinstance(capabilities, dict) else {}
    instructions = mcp.member(initialized, "instructions")
    lists = await asyncio.gather(*(_list(upstream, kind, declared) for kind in KINDS))
    return Description(
        declared, instructions if isinstance(instructions, str) else "", dict(zip(KINDS, lists, strict=True))
    )


def to_text(description: Description) -> str:
    """As JSON, for the database."""
    whole: dict[str, Any] = {kind: [item.text for item in items] for kind, items in description.items.items()}
    whole |= {"capabilities": description.capabilities, "instructions": description.instructions}
    return msgspec.json.encode(whole).decode()


def from_text(text: str) -> Description:
    members = jsonrpc.decode(text.encode())
    return Description(
        jsonrpc.value(members["capabilities"]),
        jsonrpc.value(members["instructions"]),
        {kind: _items(kind, members.get(kind)) for kind in KINDS},
    )


async def _list(upstream: Upstream, kind: Kind, declared: Mapping[str, Any]) -> tuple[Item, ...]:
    """All pages; nothing of what the server did not announce and does not know."""
    method, _, capability = KINDS[kind]
    if capability not in declared and kind != "tools":
        return ()
    items: list[Item] = []
    params: dict[str, Any] = {}
    for _ in range(MOST_PAGES):
        answer = await upstream.call(Call(jsonrpc.request(0, method, params), is_own=True))
        page = mcp.members(answer.get("result"))
        if kind not in page:
            if kind != "tools" or capability not in declared:
                return ()
            raise UpstreamError(f"`{method}` was answered with {error_text(answer)}")
        items += _items(kind, page[kind])
        cursor = jsonrpc.value(page.get("nextCursor"))
        if cursor is None:
            break
        params = {"cursor": cursor}
    return tuple(items)


def _items(kind: Kind, text: Raw | None) -> tuple[Item, ...]:
    """Those that have a name."""
    try:
        texts = jsonrpc.elements(bytes(text or b"[]"))
    except jsonrpc.ParseError:
        return ()
    named = ((mcp.member(item, KINDS[kind][1]), item) for item in texts)
    return tuple(Item(name, item) for name, item in named if isinstance(name, str) and name)

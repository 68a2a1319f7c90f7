"""A server's tools: what it says about them, what they cost a model, how often they were used."""

from typing import Any

import attrs

from archestra_gateway.services.mcp_catalogue import Catalogue
from archestra_gateway.services.mcp_request_log import RequestLog
from archestra_gateway.services.mcp_view import Visibility, view
from archestra_gateway.services.tool_search import token_cost
from archestra_gateway.upstreams.description import Item


@attrs.frozen
class McpServerTools:
    """`is_plain` is how /mcp names them."""

    _catalogue: Catalogue
    _request_log: RequestLog
    _is_plain: bool

    async def list_all(self, name: str) -> dict[str, Any]:
        """As `schemas.mcp_server.ServerTools`. Raises GatewayError when the server can not tell."""
        description = await self._catalogue.of(name)
        uses = await self._request_log.uses(name)
        allowed = self._catalogue.filters.get(name)
        names = self._names(name)
        tools = []
        for item in description.tools:
            use = uses.get(item.name)
            ours = {
                "name": names[item.name],
                "is_allowed": allowed is None or item.name in allowed,
                "tokens": token_cost(item.text),
                "uses": use["uses"] if use else 0,
                "last_used_at": use["last_used_at"] if use else None,
            }
            tools.append((item, ours))
        return {
            "tools": [_shown(item, ours) for item, ours in tools],
            "tokens": sum(ours["tokens"] for _, ours in tools if ours["is_allowed"]),
            "held_back": self._catalogue.held_back(name),
        }

    async def allow(self, name: str, tools: list[str] | None) -> None:
        await self._catalogue.allow(name, tools)

    def _names(self, server: str) -> dict[str, str]:
        whole = view(self._catalogue.now(), {}, Visibility(), is_plain=self._is_plain)
        return {target.item.name: name for name, target in whole.tools.items() if target.server == server}


def _shown(item: Item, ours: dict[str, Any]) -> dict[str, Any]:
    return {**item.value(), "archestra": ours}

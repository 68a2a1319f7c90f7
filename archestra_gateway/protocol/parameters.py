"""`Mcp-Param-*` of 2026-07-28: arguments that are repeated as headers over HTTP, and only there. Pure."""

from collections.abc import Iterable
from typing import Any

import attrs

from archestra_gateway.protocol import mcp
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.protocol.modern_headers import header_value
from archestra_gateway.protocol.parameter_headers import KEY, PREFIX, Repeated, argument_at, wanted

_MARK = KEY.encode()


@attrs.frozen
class Parameters:
    """What each tool wants, learnt from the lists that pass on their way to the client."""

    _tools: dict[str, list[Repeated]] = attrs.field(factory=dict)

    def learn(self, text: bytes, message: Message) -> None:
        if _MARK in text:
            tools = mcp.member(message.get("result"), "tools")
            self.take(tools if isinstance(tools, list) else ())

    def take(self, tools: Iterable[Any]) -> None:
        """As a server describes them."""
        for tool in tools:
            if isinstance(tool, dict):
                self._tools[str(tool.get("name"))] = wanted(tool.get("inputSchema"))

    def of(self, tool: str | None) -> list[Repeated]:
        return self._tools.get(tool or "", [])

    def headers_for(self, message: Message) -> dict[str, str]:
        if not self._tools or mcp.method(message) != "tools/call":
            return {}
        params = message.get("params")
        arguments = mcp.member(params, "arguments")
        found = {
            repeated.header: argument_at(arguments, repeated.path)
            for repeated in self.of(mcp.tool_name(params))
        }
        return {
            f"{PREFIX}{header}": header_value(_text(value))
            for header, value in found.items()
            if value is not None
        }


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

"""`Mcp-Param-*` of 2026-07-28: over HTTP some arguments are repeated as headers, over stdio they are not."""

from typing import Any

import attrs

from archestra_gateway.bridge.headers import header_value
from archestra_gateway.protocol import mcp
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.protocol.parameter_headers import KEY, PREFIX, Repeated, argument_at, wanted

_MARK = KEY.encode()


@attrs.frozen
class Parameters:
    """What each tool wants, learnt from the lists that pass on their way to the client."""

    _tools: dict[str, list[Repeated]] = attrs.field(factory=dict)

    def learn(self, text: bytes, message: Message) -> None:
        if _MARK not in text:
            return
        tools = mcp.member(message.get("result"), "tools")
        for tool in tools if isinstance(tools, list) else ():
            if isinstance(tool, dict):
                self._tools[str(tool.get("name"))] = wanted(tool.get("inputSchema"))

    def headers_for(self, message: Message) -> dict[str, str]:
        if not self._tools or mcp.method(message) != "tools/call":
            return {}
        params = message.get("params")
        arguments = mcp.member(params, "arguments")
        found = {
            repeated.header: argument_at(arguments, repeated.path)
            for repeated in self._tools.get(mcp.tool_name(params) or "", ())
        }
        return {
            f"{PREFIX}{header}": header_value(_text(value))
            for header, value in found.items()
            if value is not None
        }


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

"""Tool calls of the agent: through the same pool as /mcp_proxy."""

import asyncio
from collections.abc import Callable
from typing import Any

import attrs

from archestra_gateway.agent.outcome import Outcome, failed, read_result
from archestra_gateway.agent.tools import Offered, offered, wants_server, wants_tool
from archestra_gateway.config import AgentConfig
from archestra_gateway.errors import GatewayError, NotFound, UpstreamTimeout
from archestra_gateway.protocol import jsonrpc, mcp
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.protocol.plain_json import decoded
from archestra_gateway.providers.conversation import ToolCall
from archestra_gateway.services.agent_log import Calls
from archestra_gateway.services.mcp_server import McpServers
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.tools import error_text

METHOD = "tools/call"
LISTING = 15.0
"""Seconds that a server has to say which tools it has; one that takes longer is not part of this answer."""

MOST_NAMED = 5

Progress = Callable[[Any], None]


@attrs.frozen
class Toolbox:
    _servers: McpServers
    _config: AgentConfig

    async def offered(self, names: frozenset[str]) -> tuple[list[Offered], list[str]]:
        """The wanted tools of all enabled servers, and a sentence for each server that can not tell."""
        servers = [
            server.name
            for server in self._servers.list_all()
            if server.enabled and wants_server(names, server.name)
        ]
        answers = await asyncio.gather(*(self._of_server(name) for name in servers))
        tools = [tool for found, _ in answers for tool in found if wants_tool(names, tool)]
        return tools, [problem for _, problem in answers if problem]

    async def is_as_described(self, tool: Offered) -> bool:
        """Whether its server still describes it as it did: what was agreed to is what is called."""
        now, _ = await self._of_server(tool.server)
        return any((other.tool_name, other.definition) == (tool.tool_name, tool.definition) for other in now)

    async def call(self, tool: Offered, call: ToolCall, calls: Calls, progress: Progress) -> Outcome:
        """Never raises a GatewayError: it is told to the model, which may have another idea."""
        message = jsonrpc.request(call.id, METHOD, _params(tool, call))
        try:
            with calls.recorded(
                kind="mcp",
                server_name=tool.server,
                method=METHOD,
                tool_name=tool.tool_name,
                request_body=jsonrpc.encode(message)[: calls.kept],
            ) as entry:
                answer = await self._ask(tool, message, progress)
                entry.status_code = 200
                entry.response_body = jsonrpc.encode(answer)[: calls.kept]
                if "error" in answer:
                    entry.error_message = error_text(answer)
                    return failed(f"{tool.server} refused the call: {error_text(answer)}")
            return read_result(decoded(bytes(answer["result"])), self._config.max_tool_result)
        except GatewayError as error:
            return failed(error.message)

    async def _ask(self, tool: Offered, message: Message, progress: Progress) -> Message:
        def hear(notification: Message) -> None:
            if mcp.method(notification) == mcp.PROGRESS:
                progress(decoded(bytes(notification.get("params", jsonrpc.NULL))))

        seconds = self._config.tool_timeout
        try:
            async with asyncio.timeout(seconds):
                upstream = await self._servers.find(tool.server).shared()
                return await upstream.call(Call(message, hear))
        except TimeoutError as error:
            raise UpstreamTimeout(
                f"{tool.tool.name} took longer than {seconds:g} seconds (agent.tool_timeout)"
            ) from error

    async def _of_server(self, name: str) -> tuple[list[Offered], str]:
        try:
            async with asyncio.timeout(LISTING):
                described = await self._servers.tools(name)
        except TimeoutError:
            return [], f"The tools of {name} are left out: it did not answer within {LISTING:g} seconds"
        except NotFound:
            return [], ""  # it was removed this moment
        except GatewayError as error:
            return [], f"The tools of {name} are left out: {error.message}"
        return [tool for each in described if (tool := offered(name, each)) is not None], self._held(name)

    def _held(self, name: str) -> str:
        held = self._servers.held_tools(name)
        if not held:
            return ""
        return (
            f"{len(held)} new or changed tools of {name} are held back until somebody accepts them "
            f"(/api/mcp_server/{name}/tools/changes): {', '.join(held[:MOST_NAMED])}"
        )


def _params(tool: Offered, call: ToolCall) -> dict[str, Any]:
    return {"name": tool.tool_name, "arguments": call.input, "_meta": {"progressToken": call.id}}

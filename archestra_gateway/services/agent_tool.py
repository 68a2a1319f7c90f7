"""Tools of the agent: known from the catalogue, called through the same pool as /mcp_proxy."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs

from archestra_gateway.agent.outcome import Outcome, failed, read_result
from archestra_gateway.agent.tools import EVERYTHING, Offered, offered, wants_server, wants_tool
from archestra_gateway.config import AgentConfig
from archestra_gateway.errors import GatewayError, UpstreamTimeout
from archestra_gateway.protocol import jsonrpc, mcp
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.protocol.plain_json import decoded
from archestra_gateway.protocol.tool_definition import digest
from archestra_gateway.providers.conversation import ToolCall
from archestra_gateway.services.agent_log import Calls
from archestra_gateway.services.mcp_catalogue import Catalogue
from archestra_gateway.services.mcp_server import McpServers
from archestra_gateway.upstreams.description import Description
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.tools import error_text

METHOD = "tools/call"
GRACE = 1.0
"""Seconds that a chat which wants all tools waits for a server that is asked for the first time."""
MOST_NAMED = 5

Progress = Callable[[Any], None]


@attrs.frozen
class Toolbox:
    """`_made` keeps the tools of each description that was seen last."""

    _servers: McpServers
    _catalogue: Catalogue
    _config: AgentConfig
    _made: dict[str, tuple[Description, list[Offered]]] = attrs.field(factory=dict)

    async def offered(self, names: frozenset[str]) -> tuple[list[Offered], list[str]]:
        """The wanted tools of all enabled servers, and a sentence for each server that can not tell.

        What is known is waited for by nobody; for a server that is named, a chat has more patience.
        """
        patience = GRACE if EVERYTHING in names else self._catalogue.patience
        found, problems = await self._catalogue.soon(partial(wants_server, names), patience)
        tools = [tool for name in sorted(found) for tool in self._tools(name, found[name])]
        sentences = [f"The tools of {name} are left out: {problems[name]}" for name in sorted(problems)]
        sentences += [held for name in sorted(found) if (held := self._held(name))]
        return [tool for tool in tools if wants_tool(names, tool) and self._is_allowed(tool)], sentences

    async def is_as_described(self, tool: Offered) -> bool:
        """Whether its server says the same of it now: what was agreed to is what is called."""
        try:
            async with asyncio.timeout(self._config.tool_timeout):
                described = await self._servers.tools(tool.server)
        except (GatewayError, TimeoutError):
            return False
        return any(
            each.get("name") == tool.tool_name and digest(each) == tool.definition for each in described
        )

    async def call(
        self, tool: Offered, call: ToolCall, calls: Calls, progress: Progress, limit: int
    ) -> Outcome:
        """At most `limit` characters of it. Never raises a GatewayError: it is told to the model."""
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
            return read_result(decoded(bytes(answer["result"])), limit)
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

    def _tools(self, server: str, description: Description) -> list[Offered]:
        known = self._made.get(server)
        if known is None or known[0] is not description:
            tools = (offered(server, item.value()) for item in description.tools)
            known = self._made[server] = description, [tool for tool in tools if tool is not None]
        return known[1]

    def _is_allowed(self, tool: Offered) -> bool:
        """Switched off for /mcp is switched off here."""
        allowed = self._catalogue.filters.get(tool.server)
        return allowed is None or tool.tool_name in allowed

    def _held(self, name: str) -> str:
        held = self._catalogue.held_back(name)
        if not held:
            return ""
        return (
            f"{len(held)} new or changed tools of {name} are held back until somebody accepts them "
            f"(/api/mcp_server/{name}/tools/changes): {', '.join(held[:MOST_NAMED])}"
        )


def _params(tool: Offered, call: ToolCall) -> dict[str, Any]:
    return {"name": tool.tool_name, "arguments": call.input, "_meta": {"progressToken": call.id}}

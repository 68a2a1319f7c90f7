"""What the gateway itself offers on /mcp beside its servers' things, and to whom."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs

from archestra_gateway.errors import Forbidden, NotFound, ValidationFailed
from archestra_gateway.services.mcp_context import Contexts
from archestra_gateway.services.mcp_own_news import OwnNews
from archestra_gateway.services.mcp_request_log import RequestLog
from archestra_gateway.services.mcp_server import McpServers
from archestra_gateway.services.mcp_view import View, Visibility

Arguments = Mapping[str, Any]


@attrs.frozen
class Own:
    """What the gateway's own tools, resources and prompts work with."""

    servers: McpServers
    request_log: RequestLog
    contexts: Contexts
    news: OwnNews

    async def remember(self, visit: "Visit", changes: dict[str, Any]) -> dict[str, Any]:
        """The client's context, with these members changed."""
        context = await self.contexts.update(visit.client, changes)
        self.news.context(visit.client)
        return context

    def shown_servers(self, visit: "Visit") -> list[dict[str, Any]]:
        """Those that the client may see, in short."""
        return [
            {
                "name": server.name,
                "enabled": server.enabled,
                "state": server.status.state,
                "last_error": server.status.last_error,
                "tools": sum(target.server == server.name for target in visit.view.tools.values()),
            }
            for server in self.servers.list_all()
            if visit.visibility.shows_server(server.name)
        ]

    def check_server(self, name: str, visit: "Visit") -> str:
        """The name of a server that the client may see. Raises NotFound."""
        if not visit.visibility.shows_server(name):
            raise NotFound("MCP server not found", name=name)
        return self.servers.find(name).name

    async def recent_calls(self, limit: int, visit: "Visit") -> list[dict[str, Any]]:
        """The newest first, without headers and bodies."""
        page = await self.request_log.list_page({}, limit)
        return [
            {name: value for name, value in row.items() if name in _COLUMNS and value is not None}
            for row in page["data"]
            if visit.visibility.servers is None or visit.visibility.shows_server(row["server_name"])
        ]


_COLUMNS = (
    *("timestamp", "request_id", "kind", "server_name", "client_name", "method", "tool_name"),
    *("status_code", "error_message", "duration_ms"),
)


@attrs.frozen
class Visit:
    """Who asks: `client` is under whose name things are remembered."""

    client: str
    visibility: Visibility
    view: View
    may_administer: bool


@attrs.frozen
class Tool:
    """`parameters` are JSON Schemas by name; those in `required` must be there."""

    name: str
    title: str
    description: str
    run: Callable[[Own, Visit, Arguments], Awaitable[Any]]
    parameters: Mapping[str, Any] = attrs.field(factory=dict)
    required: tuple[str, ...] = ()
    is_administration: bool = False
    changes: bool = False

    def described(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "object", "properties": dict(self.parameters)}
        if self.required:
            schema["required"] = list(self.required)
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": {**schema, "additionalProperties": False},
            "annotations": {
                "readOnlyHint": not self.changes,
                "destructiveHint": False,
                "openWorldHint": False,
            },
        }

    async def call(self, own: Own, visit: Visit, arguments: Arguments) -> Any:
        """Raises GatewayError: ValidationFailed, Forbidden, or what goes wrong."""
        if self.is_administration and not visit.may_administer:
            raise Forbidden(
                f"This client may not administer the gateway, as {self.name} does: send the gateway's token"
            )
        if fields := [*self._missing(arguments), *self._unfit(arguments)]:
            raise ValidationFailed(
                f"{self.name} can not be called like that: {'; '.join(fields)}", fields=fields
            )
        return await self.run(own, visit, arguments)

    def _missing(self, arguments: Arguments) -> list[str]:
        return [f"`{name}` is missing" for name in self.required if name not in arguments]

    def _unfit(self, arguments: Arguments) -> list[str]:
        unknown = [f"`{name}` is not known" for name in arguments if name not in self.parameters]
        return unknown + [
            f"`{name}` must be {schema['type']}"
            for name, schema in self.parameters.items()
            if name in arguments and not _fits(arguments[name], schema["type"])
        ]


_TYPES: Mapping[str, type] = {"string": str, "object": dict, "array": list, "integer": int}


def _fits(value: Any, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and not isinstance(value, bool)

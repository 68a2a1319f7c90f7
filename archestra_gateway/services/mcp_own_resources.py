"""The gateway's own resources, `archestra://…`."""

import re
from typing import Any

import msgspec

from archestra_gateway.services.mcp_own import Own, Visit

RECENT = 50

SERVERS = "archestra://servers"
CONTEXT = "archestra://context"
REQUESTS = "archestra://requests/recent"
SERVER = "archestra://servers/{name}"

_ONE_SERVER = re.compile(r"archestra://servers/([A-Za-z0-9_-]{1,64})")
_JSON = "application/json"

RESOURCES: tuple[dict[str, Any], ...] = (
    {
        "uri": SERVERS,
        "name": "servers",
        "title": "MCP servers",
        "description": "The MCP servers of this gateway, and how they are doing",
        "mimeType": _JSON,
    },
    {
        "uri": CONTEXT,
        "name": "context",
        "title": "Context",
        "description": "What this client asked the gateway to remember",
        "mimeType": _JSON,
    },
    {
        "uri": REQUESTS,
        "name": "recent_requests",
        "title": "Recent requests",
        "description": "The newest MCP and LLM calls that went through this gateway",
        "mimeType": _JSON,
    },
)
TEMPLATES: tuple[dict[str, Any], ...] = (
    {
        "uriTemplate": SERVER,
        "name": "server",
        "title": "MCP server",
        "description": "One MCP server: its state, its tools, and what it last wrote to stderr",
        "mimeType": _JSON,
    },
)


def listed(visit: Visit) -> list[dict[str, Any]]:
    return [resource for resource in RESOURCES if visit.may_administer or resource["uri"] != REQUESTS]


async def read(own: Own, visit: Visit, uri: str) -> dict[str, Any] | None:
    """What `resources/read` answers; None for what is not ours. Raises NotFound."""
    value = await _value(own, visit, uri)
    if value is None:
        return None
    text = msgspec.json.format(msgspec.json.encode(value)).decode()
    return {"contents": [{"uri": uri, "mimeType": _JSON, "text": text}]}


async def _value(own: Own, visit: Visit, uri: str) -> Any:
    if uri == SERVERS:
        return {"servers": own.shown_servers(visit)}
    if uri == CONTEXT:
        return await own.contexts.get(visit.client)
    if uri == REQUESTS and visit.may_administer:
        return {"requests": await own.recent_calls(RECENT, visit)}
    if match := _ONE_SERVER.fullmatch(uri):
        return describe_server(own, visit, match[1])
    return None


def describe_server(own: Own, visit: Visit, name: str) -> dict[str, Any]:
    """Raises NotFound."""
    server = own.check_server(name, visit)
    (short,) = (shown for shown in own.shown_servers(visit) if shown["name"] == server)
    tools = [tool for tool, target in visit.view.tools.items() if target.server == server]
    return {**short, "tools": tools, "stderr": [line.text for line in own.servers.logs(server)][-RECENT:]}

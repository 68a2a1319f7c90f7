"""The gateway's own resources, `archestra://…`."""

from typing import Any

import msgspec

from archestra_gateway.services.mcp_own import Own, Visit
from archestra_gateway.services.mcp_own_uris import CONTEXT, REQUESTS, SERVER, SERVERS, server_of

RECENT = 50

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


def may_watch(own: Own, visit: Visit, uri: str) -> bool:
    """Whether it is one of ours that the client could read."""
    name = server_of(uri)
    if name is not None:
        return visit.visibility.shows_server(name) and any(
            known.server.name == name for known in own.servers.known()
        )
    return uri in (SERVERS, CONTEXT) or (uri == REQUESTS and visit.may_administer)


async def _value(own: Own, visit: Visit, uri: str) -> Any:
    if uri == SERVERS:
        return {"servers": own.shown_servers(visit)}
    if uri == CONTEXT:
        return await own.contexts.get(visit.client)
    if uri == REQUESTS and visit.may_administer:
        return {"requests": await own.recent_calls(RECENT, visit)}
    name = server_of(uri)
    return None if name is None else describe_server(own, visit, name)


def describe_server(own: Own, visit: Visit, name: str) -> dict[str, Any]:
    """Raises NotFound."""
    server = own.check_server(name, visit)
    (short,) = (shown for shown in own.shown_servers(visit) if shown["name"] == server)
    tools = [tool for tool, target in visit.view.tools.items() if target.server == server]
    return {**short, "tools": tools, "stderr": [line.text for line in own.servers.logs(server)][-RECENT:]}

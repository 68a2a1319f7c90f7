"""The gateway's own tools."""

from collections.abc import Mapping
from typing import Any

import attrs
import msgspec

from archestra_gateway.errors import ValidationFailed
from archestra_gateway.services.mcp_own import Arguments, Own, Tool, Visit
from archestra_gateway.services.tool_search import document, rank

MOST_CALLS = 100
MOST_FOUND = 20
FOUND = 5

_SERVER = {"name": {"type": "string", "description": "The server's name"}}
_QUERY = {
    "query": {"type": "string", "description": "What the tool should do, in a few words"},
    "limit": {"type": "integer", "minimum": 1, "maximum": MOST_FOUND, "default": FOUND},
}


async def get_context(own: Own, visit: Visit, arguments: Arguments) -> Any:
    return {"context": await own.contexts.get(visit.client)}


async def update_context(own: Own, visit: Visit, arguments: Arguments) -> Any:
    return {"context": await own.remember(visit, arguments["context"])}


async def set_active_models(own: Own, visit: Visit, arguments: Arguments) -> Any:
    models = arguments["models"]
    if not all(isinstance(model, str) for model in models):
        raise ValidationFailed("`models` is a list of names", fields=["`models` is a list of names"])
    return {"context": await own.remember(visit, {"active_models": models})}


async def list_installed_mcp_servers(own: Own, visit: Visit, arguments: Arguments) -> Any:
    return {"servers": own.shown_servers(visit)}


async def search_tools(own: Own, visit: Visit, arguments: Arguments) -> Any:
    """The tools that fit, as their servers describe them, under the names that /mcp gives them."""
    names = list(visit.view.tools)
    described = [target.item.value() for target in visit.view.tools.values()]
    documents = [document(name, tool) for name, tool in zip(names, described, strict=True)]
    limit = min(max(arguments.get("limit", FOUND), 1), MOST_FOUND)
    found = rank(arguments["query"], documents)[:limit]
    return {"tools": [{**described[place], "name": names[place]} for place in found]}


async def start_mcp_server(own: Own, visit: Visit, arguments: Arguments) -> Any:
    server = await own.servers.start(own.check_server(arguments["name"], visit))
    return {"name": server.name, "status": attrs.asdict(server.status)}


async def stop_mcp_server(own: Own, visit: Visit, arguments: Arguments) -> Any:
    server = await own.servers.stop(own.check_server(arguments["name"], visit))
    return {"name": server.name, "status": attrs.asdict(server.status)}


async def tail_request_log(own: Own, visit: Visit, arguments: Arguments) -> Any:
    limit = min(max(arguments.get("limit", 20), 1), MOST_CALLS)
    return {"requests": await own.recent_calls(limit, visit)}


async def call_tool(own: Own, visit: Visit, arguments: Arguments) -> Any:
    raise AssertionError("the gateway passes this on before it comes here")


SEARCH_TOOLS = Tool(
    "search_tools",
    "Search tools",
    "Find the tools that fit a task, among those of all MCP servers of this gateway. Gives their names, "
    "descriptions and input schemas; run one with call_tool.",
    search_tools,
    _QUERY,
    ("query",),
)
CALL_TOOL = Tool(
    "call_tool",
    "Call a tool",
    "Run a tool that search_tools found, with arguments as its input schema asks for.",
    call_tool,
    {
        "name": {"type": "string", "description": "The tool's name, as search_tools gave it"},
        "arguments": {"type": "object", "description": "The tool's arguments"},
    },
    ("name",),
    changes=True,
)
TOOLS: tuple[Tool, ...] = (
    Tool(
        "get_context",
        "Get context",
        "Read what this client asked the gateway to remember: notes, preferences, active models.",
        get_context,
    ),
    Tool(
        "update_context",
        "Update context",
        "Remember something for later conversations. Sets the given members; null removes one.",
        update_context,
        {"context": {"type": "object", "description": "Members to set; null removes a member"}},
        ("context",),
        changes=True,
    ),
    Tool(
        "set_active_models",
        "Set active models",
        "Remember which models this client works with.",
        set_active_models,
        {"models": {"type": "array", "items": {"type": "string"}, "description": "Names of models"}},
        ("models",),
        changes=True,
    ),
    Tool(
        "list_installed_mcp_servers",
        "List installed MCP servers",
        "List the MCP servers of this gateway: whether they run, what went wrong, how many tools they have.",
        list_installed_mcp_servers,
    ),
    Tool(
        "search_installed_tools",
        "Search installed tools",
        "Find the tools that fit a task, among those of all MCP servers of this gateway, with their schemas.",
        search_tools,
        _QUERY,
        ("query",),
    ),
    Tool(
        "start_mcp_server",
        "Start an MCP server",
        "Start an MCP server of this gateway, and enable it if it was stopped.",
        start_mcp_server,
        _SERVER,
        ("name",),
        is_administration=True,
        changes=True,
    ),
    Tool(
        "stop_mcp_server",
        "Stop an MCP server",
        "Stop an MCP server of this gateway; it stays stopped until it is started again.",
        stop_mcp_server,
        _SERVER,
        ("name",),
        is_administration=True,
        changes=True,
    ),
    Tool(
        "tail_request_log",
        "Tail the request log",
        "Read the newest MCP and LLM calls that went through this gateway: who, what, how long, and errors.",
        tail_request_log,
        {"limit": {"type": "integer", "minimum": 1, "maximum": MOST_CALLS, "default": 20}},
        is_administration=True,
    ),
)
PROGRESSIVE = (SEARCH_TOOLS, CALL_TOOL)
BY_NAME: Mapping[str, Tool] = {tool.name: tool for tool in (*TOOLS, *PROGRESSIVE)}
NAMES = frozenset(BY_NAME)


def listed(tools: tuple[Tool, ...], visit: Visit) -> list[dict[str, Any]]:
    """Those that the client may call."""
    return [tool.described() for tool in tools if visit.may_administer or not tool.is_administration]


def result(value: Any) -> dict[str, Any]:
    """A tool's value as `tools/call` answers it."""
    text = msgspec.json.format(msgspec.json.encode(value)).decode()
    return {"content": [{"type": "text", "text": text}], "structuredContent": value}


def failure(message: str) -> dict[str, Any]:
    """What went wrong, for the model to read."""
    return {"content": [{"type": "text", "text": message}], "isError": True}

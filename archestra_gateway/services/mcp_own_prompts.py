"""The gateway's own prompts."""

from typing import Any

import msgspec

from archestra_gateway.protocol.modern import InvalidParams
from archestra_gateway.services.mcp_own import Arguments, Own, Visit
from archestra_gateway.services.mcp_own_resources import describe_server

RECENT = 50

PROMPTS: tuple[dict[str, Any], ...] = (
    {
        "name": "diagnose_mcp_server",
        "title": "Diagnose an MCP server",
        "description": "Find out why an MCP server does not work, from its state and its stderr",
        "arguments": [{"name": "name", "description": "The server's name", "required": True}],
    },
    {
        "name": "review_recent_calls",
        "title": "Review recent calls",
        "description": "What went through this gateway lately: who called what, what failed, what was slow",
    },
)
NAMES = frozenset(prompt["name"] for prompt in PROMPTS)


def listed(visit: Visit) -> list[dict[str, Any]]:
    return [prompt for prompt in PROMPTS if visit.may_administer or prompt["name"] != "review_recent_calls"]


async def get(own: Own, visit: Visit, name: str, arguments: Arguments) -> dict[str, Any] | None:
    """What `prompts/get` answers; None for what is not ours."""
    if name == "diagnose_mcp_server":
        wanted = arguments.get("name")
        if not isinstance(wanted, str):
            raise InvalidParams("The prompt diagnose_mcp_server needs the argument `name`")
        task = (
            f"The MCP server {wanted} behind Archestra's gateway does not work as it should. Here are its "
            "state, its tools and the end of its stderr. Say what is wrong, how sure you are, and what to do."
        )
        return _prompt(task, describe_server(own, visit, wanted))
    if name == "review_recent_calls" and visit.may_administer:
        task = (
            "Here are the newest calls that went through Archestra's gateway. Say what they were about, "
            "which of them failed and why, and what was slow."
        )
        return _prompt(task, await own.recent_calls(RECENT, visit))
    return None


def _prompt(task: str, value: Any) -> dict[str, Any]:
    text = msgspec.json.format(msgspec.json.encode(value)).decode()
    content = {"type": "text", "text": f"{task}\n\n```json\n{text}\n```"}
    return {"messages": [{"role": "user", "content": content}]}

"""Whether a tool may be called: allowed, denied, or a person is asked. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import attrs

Decision = Literal["allow", "ask", "deny"]
Policy = Literal["destructive", "writes", "always", "never"]


@attrs.frozen
class Permission:
    """An empty `tool_name` means the whole server, an empty `chat_id` every chat.

    With a `definition` it holds for the tool as it was described then, and no longer.
    """

    server_name: str
    tool_name: str
    chat_id: str
    decision: Decision
    definition: str = ""

    def is_about(self, server: str, tool: str, chat: str, definition: str) -> bool:
        return (
            self.server_name == server
            and self.tool_name in ("", tool)
            and self.chat_id in ("", chat)
            and self.definition in ("", definition)
        )


def by_policy(policy: str, annotations: Mapping[str, Any]) -> Decision:
    """What a tool says about itself decides; a hint counts when given (MCP's defaults would ask always)."""
    is_read_only = annotations.get("readOnlyHint") is True
    asks = {
        "always": True,
        "writes": not is_read_only,
        "destructive": annotations.get("destructiveHint") is True and not is_read_only,
    }
    return "ask" if asks.get(policy, False) else "allow"


def decide(
    permissions: Iterable[Permission],
    policy: str,
    annotations: Mapping[str, Any],
    *,
    server: str,
    tool: str,
    chat: str,
    definition: str,
) -> Decision:
    """The most particular word counts: about the tool before the server, in this chat before everywhere."""
    about = [given for given in permissions if given.is_about(server, tool, chat, definition)]
    if not about:
        return by_policy(policy, annotations)
    return max(about, key=lambda given: (given.tool_name != "", given.chat_id != "")).decision

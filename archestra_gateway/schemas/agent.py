"""What a chat's client posts to the agent, and what people answer about tool calls."""

from typing import Any, ClassVar, Literal

import attrs

CHAT_ID = r"[A-Za-z0-9_.~:-]{1,128}"


@attrs.frozen(kw_only=True)
class ChatRequest:
    """What `useChat` posts; members that are not known here are passed over.

    `tools` has names of tools or servers (`*` is all of them) and objects `{name, description, inputSchema}`,
    which are the client's own to carry out; without it all tools of all enabled servers are offered.
    `thinking` says whether the model is to think first, where it can be told (Ollama, Anthropic).
    `sdk_version` 6 or 7 asks for approvals as those versions have them.
    """

    IS_OPEN: ClassVar[bool] = True

    messages: list[dict[str, Any]]
    id: str | None = None
    trigger: str | None = None
    messageId: str | None = None  # noqa: N815 - the AI SDK's name
    provider: str | None = None
    model: str | None = None
    system: str | None = None
    tools: list[Any] | None = None
    thinking: bool | None = None
    sdk_version: int | None = None


@attrs.frozen(kw_only=True)
class Stopped:
    """Whether there was an answer to stop."""

    stopped: bool


@attrs.frozen(kw_only=True)
class AnswerApproval:
    """`scope` says for how long: this call, this chat, or always (this tool as it is described now)."""

    decision: Literal["allow", "deny"]
    scope: Literal["once", "chat", "always"] = "once"
    reason: str | None = None


@attrs.frozen(kw_only=True)
class Approval:
    """A call that waits for a person."""

    id: str
    chat_id: str
    tool_call_id: str
    tool_name: str
    server_name: str
    input: Any
    expires_at: str


@attrs.frozen(kw_only=True)
class SetPermission:
    """Without a `tool_name` it is about the whole server, without a `chat_id` about every chat."""

    server_name: str
    decision: Literal["allow", "ask", "deny"]
    tool_name: str = ""
    chat_id: str = ""


@attrs.frozen(kw_only=True)
class PermissionKey:
    """Which permission is meant."""

    server_name: str
    tool_name: str = ""
    chat_id: str = ""


@attrs.frozen(kw_only=True)
class ToolPermission:
    server_name: str
    tool_name: str
    chat_id: str
    decision: Literal["allow", "ask", "deny"]

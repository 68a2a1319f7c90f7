"""MCP servers as clients send and get them."""

import os
import re
from typing import Any, Literal
from urllib.parse import urlsplit

import attrs

from archestra_gateway.schemas.oauth import Authorization, OAuthClient
from archestra_gateway.schemas.permissions import Permissions

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
RESERVED = ("catalog", "import")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

State = Literal[
    "stopped",
    "installing",
    "starting",
    "running",
    "crash_loop",
    "needs_authorization",
    "authorizing",
    "error",
]


def is_name(instance: Any, attribute: "attrs.Attribute[str]", value: str) -> None:
    if not NAME.fullmatch(value):
        raise ValueError("`name` consists of 1 to 64 letters, digits, `_` and `-`")
    if value in RESERVED:
        raise ValueError(f"`name` can not be {value}, which is the name of a route")


def _has_no_nul(instance: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    texts = (value,) if isinstance(value, str) else value
    if any("\0" in text for text in texts or ()):
        raise ValueError(f"`{attribute.name}` must not contain NUL characters")


def _is_command(instance: Any, attribute: "attrs.Attribute[str]", value: str) -> None:
    if not value.strip():
        raise ValueError("`command` must not be empty")


def are_variables(instance: Any, attribute: "attrs.Attribute[dict[str, str]]", value: dict[str, str]) -> None:
    for name, text in value.items():
        if not VARIABLE.fullmatch(name):
            raise ValueError(f"`env` has the name {name!r}, which is not a variable's name")
        if "\0" in text:
            raise ValueError(f"`env.{name}` must not contain NUL characters")


def _is_folder(instance: Any, attribute: "attrs.Attribute[str | None]", value: str | None) -> None:
    if value is not None and not os.path.isabs(os.path.expanduser(value)):
        raise ValueError("`cwd` must be an absolute path, or begin with `~`")


def _is_url(instance: Any, attribute: "attrs.Attribute[str]", value: str) -> None:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("`url` must be an http or https URL")
    if parts.username is not None:
        raise ValueError("`url` must not hold a user or password: put credentials into `headers`")


def _are_headers(instance: Any, attribute: "attrs.Attribute[dict[str, str]]", value: dict[str, str]) -> None:
    for name, text in value.items():
        if not HEADER.fullmatch(name):
            raise ValueError(f"`headers` has the name {name!r}, which is not a header's name")
        if any(character in text for character in "\0\r\n"):
            raise ValueError(f"`headers.{name}` must be one line")


@attrs.frozen(kw_only=True)
class StdioConfig:
    """A program on this machine."""

    transport: Literal["stdio"] = "stdio"
    command: str = attrs.field(validator=[_is_command, _has_no_nul])
    args: list[str] = attrs.field(factory=list, validator=_has_no_nul)
    env: dict[str, str] = attrs.field(factory=dict, validator=are_variables, repr=False)
    cwd: str | None = attrs.field(default=None, validator=[_is_folder, _has_no_nul])


@attrs.frozen(kw_only=True)
class HttpConfig:
    """A server somewhere else: over streamable HTTP, or over the transport of 2024-11-05 ("sse").

    With "http" a server that speaks only the older one is found out.
    """

    transport: Literal["http", "sse"]
    url: str = attrs.field(validator=_is_url)
    headers: dict[str, str] = attrs.field(factory=dict, validator=_are_headers, repr=False)
    oauth: OAuthClient | None = None


ServerConfig = StdioConfig | HttpConfig


@attrs.frozen(kw_only=True)
class CreateMcpServer:
    name: str = attrs.field(validator=is_name)
    server_config: ServerConfig
    permissions: Permissions = attrs.field(factory=Permissions)
    enabled: bool = True


@attrs.frozen(kw_only=True)
class UpdateMcpServer:
    """What is left out stays as it is; a masked value that is sent back keeps the old one."""

    server_config: ServerConfig | None = None
    permissions: Permissions | None = None
    enabled: bool | None = None


@attrs.frozen(kw_only=True)
class McpServerStatus:
    """`since` is when `state` became what it is; `next_try_at` is when a server that is away is asked again,
    or may be.

    `sandbox` says which confinement was really applied, `transport` what was found to be spoken; `tool_count`
    is known after the first start. `held_tools` are new or changed ones that nobody accepted yet:
    `/tools/changes` shows them.
    """

    state: State
    since: str
    pid: int | None
    restarts: int
    last_error: str | None
    next_try_at: str | None
    transport: Literal["stdio", "http", "sse"] | None
    protocol_version: str | None
    tool_count: int | None
    held_tools: int
    sessions: int
    sandbox: str | None
    authorization: Authorization | None


@attrs.frozen(kw_only=True)
class McpServer:
    name: str
    server_config: ServerConfig
    permissions: Permissions
    enabled: bool
    status: McpServerStatus
    created_at: str
    updated_at: str


@attrs.frozen(kw_only=True)
class ToolUse:
    """`name` is the tool's on /mcp; `uses` is how often it was called, as far back as the request log goes.

    `tokens` is about what its definition takes of a model's context, at four bytes a token.
    """

    name: str
    is_allowed: bool
    tokens: int
    uses: int
    last_used_at: str | None


@attrs.frozen(kw_only=True)
class Tool:
    """As the server describes it; other members pass as they are. `archestra` is ours."""

    name: str
    archestra: ToolUse
    description: str | None = None
    inputSchema: dict[str, Any] = attrs.field(factory=dict)  # noqa: N815


@attrs.frozen(kw_only=True)
class ServerTools:
    """`tokens` is what the allowed ones take together; `held_back` are new or changed, and in no list."""

    tools: list[Tool]
    tokens: int
    held_back: list[str]


@attrs.frozen(kw_only=True)
class AllowTools:
    """The tools that /mcp offers, by the server's own names; null: all of them."""

    allowed: list[str] | None


@attrs.frozen(kw_only=True)
class FollowLogs:
    """`follow` keeps the answer open as a stream of events."""

    follow: bool = False


@attrs.frozen(kw_only=True)
class LogLine:
    timestamp: str
    text: str


@attrs.frozen(kw_only=True)
class ServerLogs:
    lines: list[LogLine]

"""External MCP clients as API users send and get them."""

import os
from typing import Any, Literal

import attrs

FormatName = Literal["json", "json_with_comments", "jsonc", "toml", "yaml"]
Mode = Literal["gateway", "servers"]
EntryState = Literal["same", "changed", "missing"]
Operation = Literal["connect", "disconnect"]
TransportName = Literal["stdio", "http", "sse"]

RESERVED = ("supported", "connect", "preview")
MAX_NAME = 64
MAX_KEYS = 8


def _is_name(instance: Any, attribute: "attrs.Attribute[str]", value: str) -> None:
    if not (0 < len(value) <= MAX_NAME and value.isprintable() and value.strip() == value) or "/" in value:
        raise ValueError(
            f"`{attribute.name}` consists of 1 to {MAX_NAME} printable characters, without `/` and without "
            "blanks at its ends"
        )
    if value in RESERVED:
        raise ValueError(f"`{attribute.name}` can not be {value}, which is the name of a route")


def _is_path(instance: Any, attribute: "attrs.Attribute[str | None]", value: str | None) -> None:
    if value is not None and ("\0" in value or not os.path.isabs(os.path.expanduser(value))):
        raise ValueError("`path` must be an absolute path, or begin with `~`")


def _are_keys(instance: Any, attribute: "attrs.Attribute[list[str] | None]", value: list[str] | None) -> None:
    if value is not None and not (0 < len(value) <= MAX_KEYS and all(value)):
        raise ValueError(f"`key` is the way to the servers in the file: 1 to {MAX_KEYS} names")


@attrs.frozen(kw_only=True)
class ClientConfig:
    """`path`, `format`, `key` and `entry` describe a client that the gateway does not know.

    `mode` is `gateway` (one entry, for all servers) or `servers` (one entry for each). `servers` are those
    that the client gets; without it, all. `tools` are those that it gets on /mcp, by name or by pattern
    (`files__*`). In `entry`, `$name`, `$url` and `$headers` are filled in.
    """

    path: str | None = attrs.field(default=None, validator=_is_path)
    format: FormatName | None = None
    key: list[str] | None = attrs.field(default=None, validator=_are_keys)
    entry: dict[str, Any] | None = None
    mode: Mode = "gateway"
    servers: list[str] | None = None
    tools: list[str] | None = None


@attrs.frozen(kw_only=True)
class CreateExternalMcpClient:
    """A known client by its name, or any other with `path` and `format`."""

    name: str = attrs.field(validator=_is_name)
    config: ClientConfig = attrs.field(factory=ClientConfig)


@attrs.frozen(kw_only=True)
class UpdateExternalMcpClient:
    config: ClientConfig


@attrs.frozen(kw_only=True)
class ConnectExternalMcpClient:
    """Without a `config`, the one that it has. On a connected client it repairs what others changed."""

    client_name: str = attrs.field(validator=_is_name)
    config: ClientConfig | None = None


@attrs.frozen(kw_only=True)
class PreviewExternalMcpClient:
    client_name: str = attrs.field(validator=_is_name)
    operation: Operation = "connect"
    config: ClientConfig | None = None


@attrs.frozen(kw_only=True)
class RestoreExternalMcpClient:
    """Without a `backup`, the newest."""

    backup: str | None = None


@attrs.frozen(kw_only=True)
class ImportServers:
    """`replace` takes what was imported out of the client's file, and connects the client."""

    servers: list[str]
    replace: bool = False


@attrs.frozen(kw_only=True)
class WrittenEntry:
    """What became of an entry of ours: `changed` and `missing` are somebody else's doing."""

    name: str
    state: EntryState


@attrs.frozen(kw_only=True)
class ExternalMcpClient:
    """`problem`: the file can not be read; `is_drifted`: others changed or removed entries of ours.

    `last_seen_at` and `requests` are what the request log has of it.
    """

    name: str
    title: str
    config: ClientConfig
    path: str
    format: FormatName
    is_known: bool
    is_installed: bool
    is_connected: bool
    is_drifted: bool
    entries: list[WrittenEntry]
    problem: str | None
    notes: list[str]
    last_seen_at: str | None
    requests: int
    connected_at: str | None
    created_at: str
    updated_at: str


@attrs.frozen(kw_only=True)
class SupportedClient:
    """`transport` is how the client reaches the gateway: by address, or through the program `mcp-stdio`."""

    name: str
    title: str
    path: str
    format: FormatName
    transport: Literal["http", "stdio"]
    is_installed: bool
    is_connected: bool
    must_be_quit: bool
    notes: list[str]


@attrs.frozen(kw_only=True)
class PasteInstruction:
    """For clients without a file: `text` goes where `where` says."""

    name: str
    title: str
    where: str
    text: str


@attrs.frozen(kw_only=True)
class SupportedClients:
    clients: list[SupportedClient]
    snippets: list[PasteInstruction]


@attrs.frozen(kw_only=True)
class Preview:
    """`difference` is a unified diff; a `command` is run instead of writing the file."""

    client_name: str
    operation: Operation
    path: str
    is_changed: bool
    difference: str
    command: list[str] | None
    notes: list[str]


@attrs.frozen(kw_only=True)
class BackupFile:
    """`id` is the time of the change before which it was made."""

    id: str
    size: int


@attrs.frozen(kw_only=True)
class FoundMcpServer:
    """A server in a file, without the values of `env` and `headers`; one with a `problem` is not imported."""

    name: str
    transport: TransportName
    command: str
    args: list[str]
    env: list[str]
    url: str
    headers: list[str]
    is_enabled: bool
    is_gateway: bool
    problem: str | None


@attrs.frozen(kw_only=True)
class ImportedServer:
    """`name` is what it is called here; without one, `problem` says why it was not imported."""

    found: str
    name: str | None
    problem: str | None


@attrs.frozen(kw_only=True)
class ImportResult:
    servers: list[ImportedServer]
    client: ExternalMcpClient | None

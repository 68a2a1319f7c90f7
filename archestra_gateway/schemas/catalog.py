"""The catalog of MCP servers, and installing from it or from elsewhere, as clients send and get it."""

import re
from typing import Any, Literal

import attrs

from archestra_gateway.schemas.mcp_server import McpServer, ServerConfig, are_variables, is_name
from archestra_gateway.schemas.permissions import Permissions

CURSOR = re.compile(r"builtin:\d{1,6}|registry:\d:[a-zA-Z0-9._/-]{0,200}")
MOST_TEXT = 512 * 1024

CatalogSource = Literal["builtin", "registry"]
Variant = Literal["stdio", "npm", "pypi", "mcpb", "http"]
FieldType = Literal["text", "number", "boolean", "folder", "file"]
InstallState = Literal["needs_input", "preview", "installed", "refused"]


def _is_page_size(instance: Any, attribute: "attrs.Attribute[int]", value: int) -> None:
    if not 1 <= value <= 200:
        raise ValueError("`page_size` must be between 1 and 200")


def _is_page(instance: Any, attribute: "attrs.Attribute[int]", value: int) -> None:
    if not 1 <= value <= 1_000_000:
        raise ValueError("`page` is counted from 1")


def _is_cursor(instance: Any, attribute: "attrs.Attribute[str | None]", value: str | None) -> None:
    if value is not None and not CURSOR.fullmatch(value):
        raise ValueError("`cursor` must be the `next_cursor` of another page")


def _is_search(instance: Any, attribute: "attrs.Attribute[str]", value: str) -> None:
    if len(value) > 200 or "\0" in value:
        raise ValueError("`search` must have at most 200 characters")


def _is_optional_name(instance: Any, attribute: "attrs.Attribute[str | None]", value: str | None) -> None:
    if value is not None:
        is_name(instance, attribute, value)  # type: ignore[arg-type]


def _is_text(instance: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if isinstance(value, str) and (len(value) > MOST_TEXT or "\0" in value):
        raise ValueError(
            f"`{attribute.name}` must have at most {MOST_TEXT} characters, and no NUL among them"
        )


def _described(text: str, **more: Any) -> dict[str, Any]:
    return {"schema": {"description": text, **more}}


@attrs.frozen(kw_only=True)
class CatalogQuery:
    """`search` finds servers in which all of its words stand; those whose name has them come first.

    `cursor`, another page's `next_cursor`, goes on from there; it outdoes `page`.
    """

    search: str = attrs.field(default="", validator=_is_search)
    source: CatalogSource | None = None
    page: int = attrs.field(default=1, validator=_is_page)
    page_size: int = attrs.field(default=50, validator=_is_page_size)
    cursor: str | None = attrs.field(default=None, validator=_is_cursor)


@attrs.frozen(kw_only=True)
class CatalogServer:
    """A server that can be installed. Its texts are its author's words, without characters that do things.

    `variants` are the ways in which it can be used, the preferred one first: a program (`stdio`, or the kind
    of its package) or an address (`http`). Without any, `problem` says why.
    """

    id: str
    source: CatalogSource
    title: str
    description: str
    version: str | None
    homepage: str | None
    tags: list[str]
    variants: list[Variant]
    needs_secret: bool = attrs.field(
        metadata=_described("Whether it can not be used without a key or token of yours.")
    )
    is_deprecated: bool
    problem: str | None


@attrs.frozen(kw_only=True)
class RegistryState:
    """What is known of the public registry: `refreshed_at` is when it was last asked with success."""

    url: str | None
    servers: int
    is_refreshing: bool
    refreshed_at: str | None
    problem: str | None


@attrs.frozen(kw_only=True)
class CatalogPage:
    data: list[CatalogServer]
    total: int
    page: int | None
    page_size: int
    next_cursor: str | None
    registry: RegistryState


@attrs.frozen(kw_only=True)
class InputField:
    """What a person is asked for. What is `secret` goes into the vault, and is never shown again."""

    name: str
    title: str
    description: str
    type: FieldType
    required: bool
    secret: bool
    multiple: bool
    default: str | list[str] | None
    choices: list[str]
    placeholder: str
    min: float | None
    max: float | None


@attrs.frozen(kw_only=True)
class InstallOptions:
    """What every way of installing takes.

    Without `confirm` nothing happens: the answer is a form of what is missing, or the exact command and
    permissions. The same request with the `confirm` of that answer installs.
    """

    name: str | None = attrs.field(
        default=None,
        validator=_is_optional_name,
        metadata=_described("How the server shall be called here; left out, a free name is found."),
    )
    inputs: dict[str, Any] = attrs.field(
        factory=dict,
        repr=False,
        metadata=_described("Values by the names of the form's fields: texts, numbers, booleans or lists."),
    )
    env: dict[str, str] = attrs.field(
        factory=dict,
        repr=False,
        validator=are_variables,
        metadata=_described(
            "Environment variables beside those that the server is described with, or in their place."
        ),
    )
    permissions: Permissions | None = attrs.field(
        default=None, metadata=_described("In place of those that would fit.")
    )
    confirm: str | None = attrs.field(
        default=None, metadata=_described("The `confirm` of the preview that is agreed to.")
    )


@attrs.frozen(kw_only=True)
class InstallMcpServer(InstallOptions):
    """`mcp_connector_id` is the id of a server in the catalog."""

    mcp_connector_id: str = attrs.field(validator=_is_text)
    variant: Variant | None = None


@attrs.frozen(kw_only=True)
class ClientServers:
    """Servers in the file of another MCP client on this machine; without `servers`, all of them."""

    client_name: str
    servers: list[str] | None = None


@attrs.frozen(kw_only=True)
class ImportMcpServers(InstallOptions):
    """Exactly one of `config`, `server_json`, `command`, `url`, `client` and `bundle`."""

    config: str | dict[str, Any] | None = attrs.field(
        default=None,
        repr=False,
        validator=_is_text,
        metadata=_described(
            "What is written for other programs (`mcpServers`, `servers`, …), as an object or as text in "
            "JSON, TOML or YAML; or one entry of it."
        ),
    )
    server_json: dict[str, Any] | None = attrs.field(
        default=None, metadata=_described("A `server.json` of the MCP registry.")
    )
    command: str | None = attrs.field(
        default=None,
        repr=False,
        validator=_is_text,
        metadata=_described("A command line such as `npx -y @scope/server --flag`. No shell reads it."),
    )
    url: str | None = attrs.field(
        default=None, validator=_is_text, metadata=_described("The address of a remote server.")
    )
    client: ClientServers | None = None
    bundle: str | None = attrs.field(
        default=None, metadata=_described("The id of a bundle that was uploaded.", pattern="^[0-9a-f]{64}$")
    )
    variant: Variant | None = attrs.field(
        default=None, metadata=_described("Of a `server.json` with several packages or remotes.")
    )

    def __attrs_post_init__(self) -> None:
        given = [name for name in SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of {', '.join(f'`{name}`' for name in SOURCES)} must be given")


SOURCES = ("config", "server_json", "command", "url", "client", "bundle")


@attrs.frozen(kw_only=True)
class PlannedServer:
    """What would be, or was, installed: this very configuration with these permissions.

    `missing` are the fields without which it can not be; `secrets` are those that are stored for it, by name;
    one with a `problem` is left out. `server` is there once it is installed.
    """

    name: str
    title: str
    description: str
    server_config: ServerConfig | None
    permissions: Permissions | None
    fields: list[InputField]
    missing: list[str]
    secrets: list[str]
    notes: list[str]
    problem: str | None
    server: McpServer | None = None


@attrs.frozen(kw_only=True)
class Installation:
    """`preview`: nothing has happened yet; send the same with `confirm`. `needs_input`: fill in the fields
    that are missing. `refused`: every server has a problem. `bundle` is the id of the uploaded one.
    """

    state: InstallState
    servers: list[PlannedServer]
    confirm: str | None
    bundle: str | None = None


@attrs.frozen(kw_only=True)
class CatalogServerDetail(CatalogServer):
    """With what it would be started with and granted. `${input:NAME}` stands for a field's value."""

    variant: Variant | None
    fields: list[InputField]
    command: list[str]
    env: list[str]
    url: str | None
    headers: list[str]
    read_only: list[str]
    read_write: list[str]
    hosts: list[str]
    whole_network: bool
    local_sockets: bool
    notes: list[str]


@attrs.frozen(kw_only=True)
class VariantQuery:
    variant: Variant | None = None

"""Who an MCP client is: its token and headers say it, else what it says in its messages."""

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from archestra_gateway.protocol import mcp
from archestra_gateway.services.external_mcp_client_known import KnownClients
from archestra_gateway.services.mcp_request_log import Entry


def opening_info(opening: Raw | None) -> dict[str, str]:
    """What the client that sent `initialize` says of itself."""
    return client_info(mcp.member(opening, "clientInfo"))


def client_info(info: Any) -> dict[str, str]:
    """As the request log shows it."""
    if not isinstance(info, dict):
        return {}
    wanted = {"client_name": info.get("name"), "client_version": info.get("version")}
    return {name: value for name, value in wanted.items() if isinstance(value, str)}


def introduce(entry: Entry, info: Mapping[str, str], clients: KnownClients) -> None:
    """What the client's headers say stands above what it says in messages."""
    said = {name: value for name, value in entry.client_info.items() if value}
    if "client_name" not in said and (known := clients.introduced(info.get("client_name"))):
        entry.client = said["client_name"] = known
    entry.client_info = {**info, **said} if said else info

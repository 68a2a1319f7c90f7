"""The permissions of MCP servers: read from a row, learned from a run, and what a server leaves behind."""

import asyncio
import os
import shutil
from typing import Any

import attrs

from archestra_gateway.errors import InvalidRequest
from archestra_gateway.sandbox.confine import Sandbox
from archestra_gateway.schemas.mcp_server import StdioConfig
from archestra_gateway.schemas.permissions import Denial, Learned, Limits, Permissions
from archestra_gateway.upstreams.lesson import learn
from archestra_gateway.upstreams.server import Server


def from_row(stored: dict[str, Any]) -> Permissions:
    """As they were stored; what was not known then has its default."""
    return Permissions(**{**stored, "limits": Limits(**stored.get("limits", {}))})


async def learned(server: Server) -> Learned:
    """Raises InvalidRequest for a server that is not confined, of which nothing can be learned."""
    if not isinstance(server.config, StdioConfig) or server.permissions.sandbox == "off":
        raise InvalidRequest(
            f"The MCP server {server.name} runs without the sandbox, so that nothing of it is refused",
            name=server.name,
        )
    error = await learn(server)
    denials = server.denials.shown()
    return Learned(
        denials=denials,
        permissions=proposed(server.permissions, denials, server.config),
        error=error.message if error else None,
        stderr=server.stderr.last(10),
    )


def proposed(permissions: Permissions, denials: list[Denial], config: StdioConfig) -> Permissions:
    """What is granted, what was refused, and the folders among the arguments."""
    refused = [denial.grant for denial in denials if denial.grant]
    granted = {os.path.expanduser(path) for path in (*permissions.read_only, *permissions.read_write)}
    folders = [path for path in config.args if os.path.isabs(path) and os.path.isdir(path)]
    return attrs.evolve(
        permissions,
        hosts=list(dict.fromkeys((*permissions.hosts, *refused))),
        read_only=[*permissions.read_only, *(path for path in folders if path not in granted)],
    )


async def forget_home(sandbox: Sandbox, name: str) -> None:
    """A server that was removed leaves nothing behind."""
    folder = os.path.dirname(sandbox.place.home(name))
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

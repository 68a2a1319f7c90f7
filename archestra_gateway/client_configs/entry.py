"""A client's template filled in: what is written under the gateway's name."""

from collections.abc import Mapping
from typing import Any

import attrs

from archestra_gateway.client_configs.client import Client, Entry


@attrs.frozen
class Remote:
    """A streamable HTTP address of the gateway."""

    name: str
    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)


@attrs.frozen
class Bridge:
    """The program that speaks stdio and finds the daemon by itself."""

    name: str
    command: str
    args: tuple[str, ...] = ()


def render(client: Client, remote: Remote, bridge: Bridge) -> dict[str, Any]:
    """The client's entry: HTTP where it can, otherwise the bridge."""
    if client.http is not None:
        return remote_entry(client.http, remote)
    return bridge_entry(client.stdio, bridge)


def remote_entry(template: Entry, remote: Remote) -> dict[str, Any]:
    return fill(template, {"$name": remote.name, "$url": remote.url, "$headers": dict(remote.headers)})


def bridge_entry(template: Entry, bridge: Bridge) -> dict[str, Any]:
    args = list(bridge.args)
    values = {
        "$name": bridge.name,
        "$command": bridge.command,
        "$args": args,
        "$argv": [bridge.command, *args],
    }
    return fill(template, values)


def fill(template: Entry, values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with the placeholders filled in; a map that has nothing to hold is left out."""
    filled: dict[str, Any] = {}
    for key, wanted in template.items():
        value = (
            fill(wanted, values)
            if isinstance(wanted, Mapping)
            else values.get(wanted, wanted)
            if isinstance(wanted, str)
            else wanted
        )
        if value != {}:
            filled[key] = value
    return filled

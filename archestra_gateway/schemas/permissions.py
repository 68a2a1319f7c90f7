"""What a confined MCP server may touch, as clients send and get it."""

import ipaddress
import os
import re
from typing import Any, Literal

import attrs

HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
UNGRANTABLE = ("/", "/proc", "/sys", "/dev", "/run", "/var/run", "/etc", "/usr", "/boot", "/home")
"""Granted whole they would undo the confinement; folders in most of them can be granted."""

MIB = 1024 * 1024
GIB = 1024 * MIB


@attrs.frozen
class Endpoint:
    """A host, a name or an address, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """Raises ValueError unless it is `host:port`."""
        host, _, port = text.strip().lower().rpartition(":")
        host = host.rstrip(".")
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise ValueError(f"{text!r} is not `host:port`")
        if host.startswith("[") and host.endswith("]"):
            return cls(ipaddress.IPv6Address(host[1:-1]).compressed, int(port))
        if len(host) > 253 or not HOST_NAME.fullmatch(host):
            raise ValueError(f"{text!r} is not `host:port`")
        if host.replace(".", "").isdigit():
            return cls(ipaddress.IPv4Address(host).compressed, int(port))
        return cls(host, int(port))


def _are_folders(instance: Any, attribute: "attrs.Attribute[list[str]]", value: list[str]) -> None:
    for folder in value:
        path = os.path.normpath(os.path.expanduser(folder))
        if "\0" in folder or not os.path.isabs(path):
            raise ValueError(f"`{attribute.name}`: {folder!r} must be an absolute path, or begin with `~`")
        if path in UNGRANTABLE:
            raise ValueError(f"`{attribute.name}`: {folder} can not be granted whole; name the folder in it")


def _are_endpoints(instance: Any, attribute: "attrs.Attribute[list[str]]", value: list[str]) -> None:
    for text in value:
        try:
            Endpoint.parse(text)
        except ValueError as error:
            raise ValueError(f"`hosts`: {text!r} must be `host:port`, such as api.example.com:443") from error


def _at_least(least: int) -> Any:
    def check(instance: Any, attribute: "attrs.Attribute[int]", value: int) -> None:
        if value < least:
            raise ValueError(f"`limits.{attribute.name}` must be at least {least}")

    return check


@attrs.frozen(kw_only=True)
class Limits:
    """`memory`, `file_size` and `disk` are bytes, the first and the last for all processes together."""

    memory: int = attrs.field(default=2 * GIB, validator=_at_least(16 * MIB))
    processes: int = attrs.field(default=256, validator=_at_least(4))
    open_files: int = attrs.field(default=1024, validator=_at_least(16))
    file_size: int = attrs.field(default=GIB, validator=_at_least(0))
    disk: int = attrs.field(default=4 * GIB, validator=_at_least(0))


@attrs.frozen(kw_only=True)
class Permissions:
    """Nothing is granted that is not here. `sandbox: "off"` runs the server like any program of yours.

    `tool_changes: "accept"` offers what the server says about its tools on, whatever it says by then.

    `local_sockets` lets it make sockets of this machine (AF_UNIX), as browsers do; what listens in a folder
    that it is granted can then be reached.
    """

    sandbox: Literal["on", "off"] = "on"
    tool_changes: Literal["hold", "accept"] = "hold"
    read_only: list[str] = attrs.field(factory=list, validator=_are_folders)
    read_write: list[str] = attrs.field(factory=list, validator=_are_folders)
    hosts: list[str] = attrs.field(factory=list, validator=_are_endpoints)
    whole_network: bool = False
    local_sockets: bool = False
    limits: Limits = attrs.field(factory=Limits)

    @property
    def endpoints(self) -> frozenset[Endpoint]:
        return frozenset(map(Endpoint.parse, self.hosts))

    @property
    def reaches_out(self) -> bool:
        return self.whole_network or bool(self.hosts)


@attrs.frozen(kw_only=True)
class Denial:
    """What the gate refused; `grant` is the one entry of `hosts` that would allow it, if any does."""

    endpoint: str
    reason: str
    grant: str | None
    count: int
    first_at: str
    last_at: str


@attrs.frozen(kw_only=True)
class Denials:
    denials: list[Denial]


@attrs.frozen(kw_only=True)
class Learned:
    """How one run went whose every refusal was noted, and the permissions that would have been enough."""

    denials: list[Denial]
    permissions: Permissions
    error: str | None
    stderr: list[str]

"""Who may be reached: every connection of a confined server is decided and opened here, in the gateway."""

import asyncio
import ipaddress
import logging
import socket
import time

import attrs

from archestra_gateway import timestamp
from archestra_gateway.sandbox.egress_forward import Connection, Forward
from archestra_gateway.schemas.permissions import Denial, Endpoint, Permissions

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10.0
MOST_DENIALS = 1000
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
"""IPv4 addresses behind NAT64 (RFC 6052)."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class RefusedError(Exception):
    """The gate says no; it has been noted."""


@attrs.define
class Noted:
    reason: str
    grant: str | None
    first_at: float
    last_at: float
    count: int = 1


@attrs.define
class DenialList:
    """What one server was refused, oldest first; bounded, for a server may try for ever.

    `unreached` is what it may reach, and did not the last time.
    """

    server: str
    unreached: str = ""
    _noted: dict[Endpoint, Noted] = attrs.field(factory=dict)

    def note(self, endpoint: Endpoint, reason: str, grant: str | None) -> None:
        now = time.time()
        noted = self._noted.get(endpoint)
        if noted is not None:
            noted.count, noted.last_at, noted.reason, noted.grant = noted.count + 1, now, reason, grant
        elif len(self._noted) < MOST_DENIALS:
            self._noted[endpoint] = Noted(reason, grant, now, now)
            log.info("The MCP server %s was refused %s: %s", self.server, endpoint, reason)

    @property
    def last_at(self) -> float:
        """0 when there is none."""
        return max((noted.last_at for noted in self._noted.values()), default=0.0)

    def clear(self) -> None:
        self._noted.clear()

    def shown(self) -> list[Denial]:
        return [
            Denial(
                endpoint=str(endpoint),
                reason=noted.reason,
                grant=noted.grant,
                count=noted.count,
                first_at=timestamp.from_seconds(noted.first_at),
                last_at=timestamp.from_seconds(noted.last_at),
            )
            for endpoint, noted in self._noted.items()
        ]


@attrs.frozen
class Gate:
    """Lets through what the permissions name; `gateway_port` is ours, which nobody may reach.

    Where this machine's own settings name the hosts, `trusts_names` lets them lead to private addresses, and
    `forward` is the proxy that the machine must use.
    """

    permissions: Permissions
    denials: DenialList
    gateway_port: int
    trusts_names: bool = False
    forward: Forward | None = None
    _endpoints: frozenset[Endpoint] = attrs.field(init=False)

    @_endpoints.default
    def _granted(self) -> frozenset[Endpoint]:
        return self.permissions.endpoints

    async def connect(self, endpoint: Endpoint) -> Connection:
        """The checked address is the one that is dialled. Raises RefusedError, OSError, TimeoutError."""
        if not (self.permissions.whole_network or self._is_granted(endpoint)):
            raise self._refusal(endpoint, "It is not among the server's hosts", str(endpoint))
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                connection = await self._dial(endpoint)
        except OSError as error:
            why = error.strerror or str(error) or "it does not answer"
            self.denials.unreached = f"{endpoint} can not be reached: {why}"
            raise
        self.denials.unreached = ""
        return connection

    async def _dial(self, endpoint: Endpoint) -> Connection:
        if self.forward is not None and self.forward.is_for(endpoint.host):
            return await self.forward.connect(endpoint)
        addresses = await resolved(endpoint)
        allowed = [address for address in addresses if self._may_dial(address, endpoint)]
        if not allowed:
            raise self._not_public(endpoint, addresses)
        return await _first(allowed, endpoint.port)

    def _is_granted(self, endpoint: Endpoint) -> bool:
        if endpoint.host in LOOPBACK_NAMES:
            return any(Endpoint(name, endpoint.port) in self._endpoints for name in LOOPBACK_NAMES)
        return endpoint in self._endpoints

    def _may_dial(self, address: Address, endpoint: Endpoint) -> bool:
        if endpoint.port == self.gateway_port and is_own(address):
            return False
        if self.trusts_names and not is_never(address):
            return True
        return is_public(address) or self._is_granted(Endpoint(str(address), endpoint.port))

    def _not_public(self, endpoint: Endpoint, addresses: list[Address]) -> RefusedError:
        address = addresses[0]
        if endpoint.port == self.gateway_port and is_own(address):
            return self._refusal(endpoint, "It is this gateway", None)
        grant = None if is_never(address) else str(Endpoint(str(address), endpoint.port))
        return self._refusal(endpoint, f"It leads to {address}, which is not a public address", grant)

    def _refusal(self, endpoint: Endpoint, reason: str, grant: str | None) -> RefusedError:
        self.denials.note(endpoint, reason, grant)
        return RefusedError(reason)


async def resolved(endpoint: Endpoint) -> list[Address]:
    """Raises OSError when there is no such name."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(plain(ipaddress.ip_address(entry[4][0])) for entry in found))


def plain(address: Address) -> Address:
    """The IPv4 address inside of one that stands for it."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped or address.sixtofour:
            return address.ipv4_mapped or address.sixtofour or address
        if address in TRANSLATED:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(address: Address) -> bool:
    return address.is_global and not (address.is_multicast or address.is_reserved)


def is_never(address: Address) -> bool:
    """Nothing that a server could want is there."""
    return address.is_link_local or address.is_multicast or address.is_unspecified


def is_own(address: Address) -> bool:
    """One of this machine's: what talks to itself has the same address at both ends. Nothing is sent."""
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), 9))
        except OSError:
            return False
        return str(probe.getsockname()[0]).partition("%")[0] == str(address)


async def _first(addresses: list[Address], port: int) -> Connection:
    """The first that answers."""
    for address in addresses[:-1]:
        try:
            return await asyncio.open_connection(str(address), port)
        except OSError:
            continue
    return await asyncio.open_connection(str(addresses[-1]), port)

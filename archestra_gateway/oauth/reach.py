"""How far a login may reach: which URLs and addresses, so that a hostile document leads nowhere. Pure."""

from collections.abc import Collection
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

import attrs

from archestra_gateway.errors import UpstreamError

NAT64 = IPv6Network("64:ff9b::/96")
LONGEST_URL = 8 * 1024


class Reach(Enum):
    LOOPBACK = "this machine"
    PRIVATE = "a private network"
    PUBLIC = "the internet"
    NOWHERE = "an address that is nobody's"


def reach_of(text: str) -> Reach:
    """Whose the address is; an IPv4 address that hides in an IPv6 one counts as itself."""
    address = _unwrapped(ip_address(text.partition("%")[0]))
    if address.is_loopback:
        return Reach.LOOPBACK
    if address.is_unspecified or address.is_link_local or address.is_multicast or address.is_reserved:
        return Reach.NOWHERE
    return Reach.PUBLIC if address.is_global else Reach.PRIVATE


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or [address])[-1]


@attrs.frozen
class Limits:
    """What the login at one configured server may touch; `private_hosts` may have private addresses."""

    is_local: bool
    private_hosts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, server_url: str, private_hosts: Collection[str] = ()) -> "Limits":
        """By the URL's text alone: what a name resolves to is in the hands of whoever owns the name."""
        host = urlsplit(server_url).hostname or ""
        literal = _literal(host)
        trusted = {name.lower().strip("[]") for name in private_hosts}
        if literal is Reach.PRIVATE:
            trusted.add(host)
        return cls(literal is Reach.LOOPBACK, frozenset(trusted))

    def check(self, url: str, what: str) -> str:
        """The URL. Raises UpstreamError when it is not one to be asked, or to be opened by a browser."""
        problem = self._problem(url)
        if problem:
            raise UpstreamError(f"The {what} {printable(url)} is refused: {problem}")
        return url

    def check_address(self, host: str, address: str) -> None:
        """Raises UpstreamError."""
        if not self._allows(host, reach := reach_of(address)):
            raise UpstreamError(
                f"{printable(host)} is refused: it leads to {reach.value}, where a login has no business"
            )

    def _allows(self, host: str, reach: Reach) -> bool:
        if reach is Reach.PRIVATE:
            return host.lower() in self.private_hosts
        return reach is Reach.PUBLIC or (reach is Reach.LOOPBACK and self.is_local)

    def _problem(self, url: str) -> str:
        if (
            len(url) > LONGEST_URL
            or not url.isascii()
            or not url.isprintable()
            or set(url) & set(" \\<>\"`'{}|^")
        ):
            return "it is no plain URL"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return "it is no URL"
        host = parts.hostname or ""
        if not host or parts.scheme not in ("http", "https") or port == 0:
            return "it must be an https URL"
        if parts.username is not None or "#" in url:
            return "it must have no user and no fragment"
        literal = _literal(host)
        if literal is not None and not self._allows(host, literal):
            return f"it leads to {literal.value}, where a login has no business"
        if parts.scheme == "http" and not (self.is_local and literal is Reach.LOOPBACK):
            return "it is not https"
        return ""


def _literal(host: str) -> Reach | None:
    """Whose the host is, where its text alone says so."""
    if host == "localhost" or host.endswith(".localhost"):
        return Reach.LOOPBACK
    try:
        return reach_of(host)
    except ValueError:
        return None


def printable(text: str) -> str:
    """For a message: short, and without characters that could do something."""
    return ascii(text[:200])[1:-1]

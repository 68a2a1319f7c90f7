"""What this machine says about package registries, as the install step gets it."""

from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urlsplit

import attrs

from archestra_gateway.packages.public import FILE_HOSTS
from archestra_gateway.schemas.permissions import Endpoint

PORTS = {"https": 443, "http": 80}


@attrs.frozen
class Settings:
    """`env` is for the install step alone; `files` are written into its home, `shown` are there to be read.

    `secrets` are the credentials among all that, which no line may show; `proxy` is what npm's or pip's own
    configuration says about one. Where they name no registry, it is the program's own.
    """

    env: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    files: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    shown: tuple[str, ...] = ()
    hosts: frozenset[Endpoint] = frozenset()
    secrets: tuple[str, ...] = attrs.field(default=(), repr=False)
    proxy: str | None = attrs.field(default=None, repr=False)
    names_registry: bool = True


def hosts(urls: Iterable[str]) -> frozenset[Endpoint]:
    """Of registries, and of where they are known to keep their files."""
    found: set[Endpoint] = set()
    for url in urls:
        parts = urlsplit(url)
        if parts.hostname and parts.scheme in PORTS:
            host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            found.add(Endpoint.parse(f"{host}:{parts.port or PORTS[parts.scheme]}"))
            if files := FILE_HOSTS.get(parts.hostname):
                found.add(Endpoint.parse(f"{files}:{PORTS['https']}"))
    return frozenset(found)


def credentials(urls: Iterable[str]) -> list[str]:
    """The passwords (or tokens in their place) within URLs, as written and as meant."""
    found: list[str] = []
    for url in urls:
        parts = urlsplit(url)
        secret = parts.password or parts.username
        if secret:
            found += [secret, unquote(secret)]
    return found

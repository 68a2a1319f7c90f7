"""Which values of a server's configuration are secrets, and how they look to others. Pure."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import attrs

from archestra_gateway.errors import ValidationFailed
from archestra_gateway.log import is_credential
from archestra_gateway.schemas.mcp_server import HttpConfig, ServerConfig
from archestra_gateway.services.secret import REFERENCE

MASK = "********"
ONLY_REFERENCE = re.compile(rf"([A-Za-z]+ )?(?:{REFERENCE.pattern}|\$\{{input:[^}}]*\}})")
"""Where the value is kept, or where it is going to be."""
SECRET_NAME = re.compile(
    r"TOKEN|KEY|SECRET|PASSW|PASSPHRASE|CREDENTIAL|AUTH|COOKIE|PRIVATE|SESSION|DSN|DATABASE_URL|CONNECTION_STRING"
    r"|BEARER|WEBHOOK|(^|_)(PAT|PWD)$",
    re.IGNORECASE,
)


def named_values(config: ServerConfig) -> Mapping[str, str]:
    """Environment or headers, whichever it has."""
    return config.headers if isinstance(config, HttpConfig) else config.env


def secrets(config: ServerConfig) -> list[str]:
    """The values that no log may show."""
    found = [value for name, value in named_values(config).items() if _hides(name, value)]
    schemes = [value.partition(" ")[2] for value in found if isinstance(config, HttpConfig)]  # "Bearer …"
    client_secret = config.oauth.client_secret if isinstance(config, HttpConfig) and config.oauth else None
    return [value for value in (*found, *schemes, client_secret) if value]


def masked(config: ServerConfig) -> ServerConfig:
    shown = {name: MASK if _hides(name, value) else value for name, value in named_values(config).items()}
    config = _with(config, shown)
    if isinstance(config, HttpConfig) and config.oauth is not None and config.oauth.client_secret:
        return attrs.evolve(config, oauth=attrs.evolve(config.oauth, client_secret=MASK))
    return config


def unmasked(wanted: ServerConfig, stored: ServerConfig | None) -> ServerConfig:
    """What a client sends back masked keeps its old value. Raises ValidationFailed where there is none."""
    if stored is not None and not _goes_to_the_same(wanted, stored):
        stored = None
    old = named_values(stored) if stored is not None else {}
    values = {
        name: _unmasked(name, old.get(name)) if value == MASK and is_secret(name) else value
        for name, value in named_values(wanted).items()
    }
    config = _with(wanted, values)
    if isinstance(config, HttpConfig) and config.oauth is not None and config.oauth.client_secret == MASK:
        before = stored.oauth if isinstance(stored, HttpConfig) else None
        secret = _unmasked("client_secret", before.client_secret if before else None)
        return attrs.evolve(config, oauth=attrs.evolve(config.oauth, client_secret=secret))
    return config


def _unmasked(name: str, value: str | None) -> str:
    if value is None:
        raise ValidationFailed(f"`{name}` is masked, and there is no stored value: send the value itself")
    return value


def _goes_to_the_same(wanted: ServerConfig, stored: ServerConfig) -> bool:
    """A stored credential never goes to another host because of a new URL."""
    if isinstance(wanted, HttpConfig) and isinstance(stored, HttpConfig):
        return urlsplit(wanted.url)[:2] == urlsplit(stored.url)[:2]
    return type(wanted) is type(stored)


def is_secret(name: str) -> bool:
    return SECRET_NAME.search(name) is not None or is_credential(name)


def _hides(name: str, value: str) -> bool:
    """A reference to a stored secret ("Bearer ${secret:NAME}") is none itself."""
    return bool(value) and is_secret(name) and not ONLY_REFERENCE.fullmatch(value)


def _with(config: ServerConfig, values: Mapping[str, str]) -> ServerConfig:
    if isinstance(config, HttpConfig):
        return attrs.evolve(config, headers=dict(values))
    return attrs.evolve(config, env=dict(values))

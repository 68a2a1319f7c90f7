"""Which values of a server's configuration are secrets, and how they look to others. Pure."""

import re
from collections.abc import Mapping

import attrs

from archestra_gateway.errors import ValidationFailed
from archestra_gateway.log import is_credential
from archestra_gateway.schemas.mcp_server import HttpConfig, ServerConfig
from archestra_gateway.services.secret import REFERENCE

MASK = "********"
ONLY_REFERENCE = re.compile(rf"([A-Za-z]+ )?{REFERENCE.pattern}")
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
    return [value for value in (*found, *schemes) if value]


def masked(config: ServerConfig) -> ServerConfig:
    shown = {name: MASK if _hides(name, value) else value for name, value in named_values(config).items()}
    return _with(config, shown)


def unmasked(wanted: ServerConfig, stored: ServerConfig | None) -> ServerConfig:
    """What a client sends back masked keeps its old value. Raises ValidationFailed where there is none."""
    old = named_values(stored) if stored is not None and type(stored) is type(wanted) else {}
    values = {}
    for name, value in named_values(wanted).items():
        if value == MASK and is_secret(name):
            if name not in old:
                raise ValidationFailed(
                    f"`{name}` is masked, and there is no stored value: send the value itself"
                )
            value = old[name]
        values[name] = value
    return _with(wanted, values)


def is_secret(name: str) -> bool:
    return SECRET_NAME.search(name) is not None or is_credential(name)


def _hides(name: str, value: str) -> bool:
    """A reference to a stored secret ("Bearer ${secret:NAME}") is none itself."""
    return bool(value) and is_secret(name) and not ONLY_REFERENCE.fullmatch(value)


def _with(config: ServerConfig, values: Mapping[str, str]) -> ServerConfig:
    if isinstance(config, HttpConfig):
        return attrs.evolve(config, headers=dict(values))
    return attrs.evolve(config, env=dict(values))

"""What programs call themselves in their messages, and whose row that is. Pure."""

import re
from fnmatch import fnmatchcase
from functools import lru_cache

from archestra_gateway.client_configs.table import CLIENTS

LONGEST = 256

_RELAYED = re.compile(r" \(via mcp-remote [^()]*\)$")


@lru_cache(maxsize=256)
def called(said: str, clients: tuple[str, ...]) -> str | None:
    """Which of the clients introduces itself so; None where it is none of them, or could be several."""
    if len(said) > LONGEST:
        return None
    plain = _plain(_RELAYED.sub("", said))
    found = [client for client in clients if plain == _plain(client) or _calls_itself(client, plain)]
    return found[0] if len(found) == 1 else None


def _calls_itself(client: str, plain: str) -> bool:
    return any(fnmatchcase(plain, _plain(name)) for name in _names_of(client))


def _names_of(client: str) -> tuple[str, ...]:
    """What the client that people call so gives as its `clientInfo.name`."""
    for each in CLIENTS:
        for instance in each.instances:
            name = each.id + instance.suffix
            if client == name or (instance.each and client.startswith(f"{name}-")):
                return instance.calls_itself or each.calls_itself
    return ()


def _plain(name: str) -> str:
    """Programs spell themselves with blanks or with hyphens, as they please."""
    return re.sub(r"[\s_-]+", "-", name.casefold())

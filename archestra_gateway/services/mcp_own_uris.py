"""What the gateway's own resources are called."""

import re

NAME = "archestra"
"""The gateway itself, where the request log names a server."""

SERVERS = "archestra://servers"
CONTEXT = "archestra://context"
REQUESTS = "archestra://requests/recent"
SERVER = "archestra://servers/{name}"

_ONE_SERVER = re.compile(r"archestra://servers/([A-Za-z0-9_-]{1,64})")


def server_uri(name: str) -> str:
    return SERVER.format(name=name)


def server_of(uri: str) -> str | None:
    """Whose description it is."""
    match = _ONE_SERVER.fullmatch(uri)
    return None if match is None else match[1]


def is_own(uri: str) -> bool:
    return uri in (SERVERS, CONTEXT, REQUESTS) or server_of(uri) is not None

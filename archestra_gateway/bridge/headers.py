"""The HTTP headers that MCP wants beside a message. Pure."""

import attrs

from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.protocol.modern_headers import VERSION, is_modern, standard

SESSION_ID = "Mcp-Session-Id"


@attrs.frozen
class Session:
    """`initialize` is what the client said; `id` and `version` are what was answered."""

    initialize: bytes
    id: str | None
    version: str


def headers_for(message: Message, session: Session | None) -> dict[str, str]:
    if is_modern(message):
        return standard(message)
    return {} if session is None else headers_in(session)


def headers_in(session: Session) -> dict[str, str]:
    identifier = {} if session.id is None else {SESSION_ID: session.id}
    return {VERSION: session.version, **identifier}

"""What an HTTP request tells the request log about the call it carries."""

import time
from collections.abc import Mapping
from typing import NamedTuple

from aiohttp import hdrs, web

from archestra_gateway import keys
from archestra_gateway.services.external_mcp_client_known import KnownClients
from archestra_gateway.services.mcp_request_log import Entry
from archestra_gateway.services.mcp_request_log_row import Kind
from archestra_gateway.web import guard


class Caller(NamedTuple):
    """Who calls, as the headers of a request have it."""

    headers: Mapping[str, str]
    bearer: str | None
    name: str | None
    version: str | None
    platform: str | None
    user_agent: str | None
    session_id: str | None
    mcp_session_id: str | None


def begin(request: web.Request, kind: Kind, server_name: str) -> Entry:
    """The entry of a call that starts now; `method` is the HTTP one until somebody knows better."""
    caller, clients = caller_of(request.headers), request.app[keys.KNOWN_CLIENTS]
    entry = entry_of(caller, clients, request[keys.REQUEST_ID], kind, server_name)
    entry.method = f"{request.method} {request.path}"
    return entry


def caller_of(headers: Mapping[str, str]) -> Caller:
    return Caller(
        headers=headers,
        bearer=guard.bearer(headers.get(hdrs.AUTHORIZATION, "")),
        name=headers.get("X-Client-Name"),
        version=headers.get("X-Client-Version"),
        platform=headers.get("X-Client-Platform"),
        user_agent=headers.get("User-Agent"),
        session_id=headers.get("X-Session-Id"),
        mcp_session_id=headers.get("Mcp-Session-Id"),
    )


def entry_of(caller: Caller, clients: KnownClients, request_id: str, kind: Kind, server_name: str) -> Entry:
    known = clients.name_of(caller.bearer, caller.name)
    return Entry(
        kind=kind,
        request_id=request_id,
        timestamp=time.time(),
        server_name=server_name,
        session_id=caller.session_id,
        mcp_session_id=caller.mcp_session_id,
        client=known,
        client_info={
            "user_agent": caller.user_agent,
            "client_name": known or caller.name,
            "client_version": caller.version,
            "client_platform": caller.platform,
        },
        request_headers=caller.headers,
    )

"""What an HTTP request tells the request log about the call it carries."""

import time
from collections.abc import Mapping

from aiohttp import hdrs, web

from archestra_gateway import keys
from archestra_gateway.services.external_mcp_client_known import KnownClients
from archestra_gateway.services.mcp_request_log import Entry
from archestra_gateway.services.mcp_request_log_row import Kind
from archestra_gateway.web import guard


def begin(request: web.Request, kind: Kind, server_name: str) -> Entry:
    """The entry of a call that starts now; `method` is the HTTP one until somebody knows better."""
    headers, clients = request.headers, request.app[keys.KNOWN_CLIENTS]
    entry = entry_of(headers, clients, request[keys.REQUEST_ID], kind, server_name)
    entry.method = f"{request.method} {request.path}"
    return entry


def entry_of(
    headers: Mapping[str, str], clients: KnownClients, request_id: str, kind: Kind, server_name: str
) -> Entry:
    called = headers.get("X-Client-Name")
    known = clients.name_of(guard.bearer(headers.get(hdrs.AUTHORIZATION, "")), called)
    return Entry(
        kind=kind,
        request_id=request_id,
        timestamp=time.time(),
        server_name=server_name,
        session_id=headers.get("X-Session-Id"),
        mcp_session_id=headers.get("Mcp-Session-Id"),
        client=known,
        client_info={
            "user_agent": headers.get("User-Agent"),
            "client_name": known or called,
            "client_version": headers.get("X-Client-Version"),
            "client_platform": headers.get("X-Client-Platform"),
        },
        request_headers=headers,
    )

"""What an HTTP request tells the request log about the call it carries."""

import time

from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.services.mcp_request_log import Entry
from archestra_gateway.services.mcp_request_log_row import Kind


def begin(request: web.Request, kind: Kind, server_name: str) -> Entry:
    """The entry of a call that starts now; `method` is the HTTP one until somebody knows better."""
    headers = request.headers
    return Entry(
        kind=kind,
        request_id=request[keys.REQUEST_ID],
        timestamp=time.time(),
        server_name=server_name,
        session_id=headers.get("X-Session-Id"),
        mcp_session_id=headers.get("Mcp-Session-Id"),
        client_info={
            "user_agent": headers.get("User-Agent"),
            "client_name": headers.get("X-Client-Name"),
            "client_version": headers.get("X-Client-Version"),
            "client_platform": headers.get("X-Client-Platform"),
        },
        method=f"{request.method} {request.path}",
        request_headers=headers,
    )

"""What a browser may read: the CORS headers on every answer. Who may come in is decided in guard.py."""

import re
from collections.abc import Mapping

import aiohttp_cors
from aiohttp import hdrs, web

from archestra_gateway import keys

METHODS = "GET, POST, PUT, DELETE, OPTIONS"
REQUEST_HEADERS = (
    "Content-Type, Authorization, Accept, Last-Event-ID, Mcp-Session-Id, MCP-Protocol-Version, Mcp-Method, "
    "Mcp-Name, X-Session-Id, X-Client-Name, X-Client-Version, X-Client-Platform, X-Api-Key"
)
EXPOSED = ("Mcp-Session-Id", "x-vercel-ai-ui-message-stream", "X-Request-Id", "ETag", "Retry-After")
HEADERS: Mapping[str, str] = {
    hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*",
    hdrs.ACCESS_CONTROL_ALLOW_METHODS: METHODS,
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: REQUEST_HEADERS,
    hdrs.ACCESS_CONTROL_EXPOSE_HEADERS: ", ".join(EXPOSED),
    "X-Content-Type-Options": "nosniff",
}
REQUEST_ID = "X-Request-Id"
PREFLIGHT_AGE = "600"

_NAMES = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")
"""A comma-separated list of tokens (RFC 9110 §5.6.2): nothing else is echoed."""


def install(app: web.Application) -> None:
    """Configure aiohttp-cors for every resource of the router, then complete what it does not send.

    It keeps silent without an Origin and on 404 and 405, and echoes an Origin where `*` is promised, so our
    hook has the last word; it comes second, because aiohttp-cors asserts that nobody set these headers before
    it. A resource that answers every method (`*`, the LLM relay) it refuses with an exception: there the hook
    is all.
    """
    policy = aiohttp_cors.setup(
        app,
        defaults={
            "*": aiohttp_cors.ResourceOptions(  # type: ignore[no-untyped-call]
                expose_headers=EXPOSED, allow_headers="*", allow_methods=METHODS.split(", ")
            )
        },
    )
    for resource in list(app.router.resources()):
        if isinstance(resource, web.Resource) and all(row.method != hdrs.METH_ANY for row in resource):
            policy.add(resource)
    app.on_response_prepare.append(complete)


async def complete(request: web.Request, response: web.StreamResponse) -> None:
    """The headers that every answer carries; those of a preflight are its own."""
    headers = response.headers
    if request.method != hdrs.METH_OPTIONS or hdrs.ACCESS_CONTROL_ALLOW_ORIGIN not in headers:
        headers.update(HEADERS)
        headers.popall(hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS, None)
    if keys.REQUEST_ID in request:
        headers[REQUEST_ID] = request[keys.REQUEST_ID]


def preflight(asked: Mapping[str, str], is_trusted: bool) -> web.Response:
    """204 with what was asked for; the private network opens to origins that may come in alone."""
    headers = {**HEADERS, hdrs.ACCESS_CONTROL_MAX_AGE: PREFLIGHT_AGE, hdrs.ALLOW: METHODS}
    method = asked.get(hdrs.ACCESS_CONTROL_REQUEST_METHOD, "")
    if _NAMES.fullmatch(method) and "," not in method and method not in METHODS.split(", "):
        headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = f"{METHODS}, {method}"
    names = asked.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "")
    if _NAMES.fullmatch(names):
        headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = f"{REQUEST_HEADERS}, {names}"
    if is_trusted and asked.get("Access-Control-Request-Private-Network") == "true":
        headers["Access-Control-Allow-Private-Network"] = "true"
    return web.Response(status=204, headers=headers)

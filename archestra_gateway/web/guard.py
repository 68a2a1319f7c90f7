"""The door: gathers what the decision table asks about a request, and does what it answers."""

from collections.abc import Callable
from functools import lru_cache
from typing import cast

from aiohttp import hdrs, web

from archestra_gateway import keys
from archestra_gateway.errors import GatewayError
from archestra_gateway.web import cors, route
from archestra_gateway.web.connection import Connection
from archestra_gateway.web.decision import Facts, Rules, Verdict, decide, may_come_in, nobody, rules
from archestra_gateway.web.route import Carrier, Handler

_RULES = web.AppKey("RULES", Rules)


def install(app: web.Application) -> None:
    """Make the rules once the token is known, which is when the app starts."""
    app.on_startup.append(_make_rules)


async def _make_rules(app: web.Application) -> None:
    clients = app.get(keys.KNOWN_CLIENTS)
    app[_RULES] = rules(app[keys.CONFIG], app[keys.TOKEN], clients.is_token if clients else nobody)


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let the request in, or raise what refuses it."""
    app_rules = request.app[_RULES]
    facts = gather(request, app_rules)
    verdict = decide(facts, app_rules)
    if verdict is Verdict.ALLOW:
        if hdrs.EXPECT in request.headers:
            await _say_continue(request)
        return await handler(request)
    if verdict is Verdict.PREFLIGHT:
        return cors.preflight(request.headers, may_come_in(facts, app_rules))
    raise verdict


def may_administer(request: web.Request) -> bool:
    """Whether this request could do what only administrators may."""
    return _as_administration(request) is Verdict.ALLOW


def check_administration(request: web.Request) -> None:
    """Raises what refuses it, for a route that only sometimes administers."""
    if isinstance(verdict := _as_administration(request), GatewayError):
        raise verdict


def _as_administration(request: web.Request) -> Verdict | GatewayError:
    app_rules = request.app[_RULES]
    return decide(gather(request, app_rules)._replace(is_administration=True), app_rules)


def looks_like(request: web.Request) -> Callable[[int], bool]:
    """Tells whether the same request would be let in, with so many bytes of body."""
    app_rules = request.app[_RULES]
    facts = gather(request, app_rules)
    with_length = lru_cache(maxsize=8)(lambda length: facts._replace(content_length=length))
    return lambda length: decide(with_length(length), app_rules) is Verdict.ALLOW


def gather(request: web.Request, rules: Rules) -> Facts:
    row = route.of(request)
    carrier: Carrier = "json" if row is None else row.carrier
    headers = request.headers
    connection = cast(Connection, request.protocol)
    has_body = request.body_exists
    return Facts(
        method=request.method,
        target=request.raw_path,
        hosts=tuple(headers.getall(hdrs.HOST, ())),
        origins=tuple(headers.getall(hdrs.ORIGIN, ())),
        fetch_site=headers.get("Sec-Fetch-Site", ""),
        bearer=bearer(headers.get(hdrs.AUTHORIZATION, "")),
        port=connection.local_port,
        has_body=has_body,
        content_length=(request.content_length or 0) if has_body else 0,
        content_type=headers.get(hdrs.CONTENT_TYPE, ""),
        content_encoding=headers.get(hdrs.CONTENT_ENCODING, ""),
        carrier=carrier,
        expects_json=carrier == "jsonrpc" or (row is not None and row.takes is not None),
        max_body=rules.max_body[carrier],
        is_administration=row is not None and row.administration,
        is_another_user=connection.is_another_user,
    )


def bearer(authorization: str) -> str | None:
    """The token of an Authorization header."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


async def _say_continue(request: web.Request) -> None:
    """RFC 9110 §10.1.1, after the decision and not before it."""
    if request.headers[hdrs.EXPECT].lower() != "100-continue":
        raise web.HTTPExpectationFailed(text="The only expectation this gateway meets is 100-continue")
    if request.body_exists:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # that was not yet the answer

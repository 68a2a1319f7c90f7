"""Answers: JSON, and errors in their envelope. The only table code → status, the only errors middleware."""

import logging
import random
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import hdrs, web

from archestra_gateway import errors as kinds
from archestra_gateway import keys, log
from archestra_gateway.errors import GatewayError
from archestra_gateway.protocol import jsonrpc
from archestra_gateway.web import compress, route
from archestra_gateway.web.route import Carrier, Handler

logger = logging.getLogger(__name__)

STATUS: Mapping[str, int] = {
    "INVALID_REQUEST": 400,
    "UNAUTHORIZED": 401,
    "FORBIDDEN": 403,
    "FORBIDDEN_ORIGIN": 403,
    "TOOL_HELD_BACK": 403,
    "RESOURCE_NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "CONFLICT": 409,
    "PAYLOAD_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "MISDIRECTED_REQUEST": 421,
    "VALIDATION_FAILED": 422,
    "RATE_LIMITED": 429,
    "INTERNAL_ERROR": 500,
    "UPSTREAM_ERROR": 502,
    "UPSTREAM_UNAVAILABLE": 503,
    "UPSTREAM_AUTHORIZATION_NEEDED": 503,
    "UPSTREAM_TIMEOUT": 504,
}

_encode = msgspec.json.Encoder().encode
_encode_error = msgspec.json.Encoder(enc_hook=repr).encode


def json(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer whose body is `data`: plain values, or msgspec's idea of them."""
    return web.Response(body=_encode(data), status=status, headers=headers, content_type="application/json")


def refusal(error: GatewayError, carrier: Carrier = "json", status: int | None = None) -> web.Response:
    """The HTTP answer that carries an error."""
    body = error.body()
    if carrier == "jsonrpc":
        number = jsonrpc.ERROR_NUMBERS.get(error.code, jsonrpc.FAILED)
        body = {
            "jsonrpc": "2.0",
            "id": None,
            "error": {"code": number, "message": error.message, "data": body},
        }
    headers = {hdrs.WWW_AUTHENTICATE: "Bearer"} if isinstance(error, kinds.Unauthorized) else None
    return web.Response(
        body=_encode_error(body),
        status=status or STATUS[error.code],
        headers=headers,
        content_type="application/json",
    )


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The outermost middleware: names the request, and answers in the envelope whatever goes wrong inside."""
    request_id = new_request_id()
    request[keys.REQUEST_ID] = request_id
    log.request_id.set(request_id)
    try:
        return await compress.answer(request, await handler(request))
    except GatewayError as error:
        return _refuse(request, error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _refuse(request, translated(error, request), error)
    except web.RequestPayloadError as error:
        return _refuse(request, kinds.InvalidRequest(f"The request's body broke off: {error}"))
    except Exception:
        if is_gone(request):
            raise
        logger.exception("%s %s failed", request.method, request.rel_url.raw_path)
        return _refuse(request, kinds.InternalError())


def new_request_id() -> str:
    """32 hexadecimal digits that begin with the time, so that the log's index grows at its end. No secret."""
    return f"{time.time_ns() // 1_000_000:012x}{random.getrandbits(80):020x}"


def is_gone(request: web.BaseRequest) -> bool:
    """Nobody is left to answer."""
    transport = request.transport
    return transport is None or transport.is_closing()


def translated(error: web.HTTPException, request: web.BaseRequest) -> GatewayError:
    """aiohttp's own refusals in our words."""
    if isinstance(error, web.HTTPNotFound):
        return kinds.NotFound(f"There is nothing at {request.path}")
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = sorted(error.allowed_methods - {hdrs.METH_OPTIONS})
        return kinds.MethodNotAllowed(
            f"{request.method} is not possible at {request.path}; it knows {', '.join(allowed)}",
            allowed=allowed,
        )
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return kinds.PayloadTooLarge("The request's body is too large")
    return kinds.InvalidRequest(error.text or error.reason)


def _refuse(
    request: web.Request, error: GatewayError, made_by: web.HTTPException | None = None
) -> web.Response:
    """The envelope, or a cut when the answer has begun: a second answer would look like data."""
    if request.writer.output_size > 0:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("The answer had begun when an error came") from error
    row = route.of(request)
    answer = refusal(error, row.carrier if row else "json", made_by.status if made_by else None)
    if made_by is not None and hdrs.ALLOW in made_by.headers:
        answer.headers[hdrs.ALLOW] = ", ".join(error.details["allowed"])
    if not request.content.is_eof():
        answer.force_close()
    return answer

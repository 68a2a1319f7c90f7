"""The log row of a relayed call, written when its stream ends, however it ends."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.errors import GatewayError
from archestra_gateway.web import envelope, logged
from archestra_gateway.web.reverse import Seen


@contextmanager
def recorded(request: web.Request, provider: str, target: str) -> Iterator[Seen]:
    request_log = request.app[keys.REQUEST_LOG]
    entry = logged.begin(request, "llm", provider)
    entry.method = f"{request.method} {target.partition('?')[0]}"
    seen = Seen(request_log.body_limit)
    try:
        yield seen
    except GatewayError as error:
        entry.status_code = envelope.STATUS[error.code]
        entry.error_message = error.message
        raise
    except (asyncio.CancelledError, ConnectionError):
        entry.error_message = "The client left before the end of the answer"
        raise
    finally:
        entry.end()
        entry.status_code = seen.status or entry.status_code
        entry.request_body = bytes(seen.request_body.data)
        entry.response_headers = dict(seen.headers)
        entry.response_body = bytes(seen.response_body.data)
        request_log.record(entry)

"""The stream of what a remote server says unasked: opened, read, and opened again."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

import aiohttp

from archestra_gateway.errors import AuthorizationNeeded, GatewayError, UpstreamError
from archestra_gateway.protocol.sse import Place
from archestra_gateway.upstreams.backoff import Pauses
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.http_requests import EVENTS, Requests

LONG_LIFE = 10.0
TRANSIENT = frozenset({401, 403, 408, 409, 425, 429, 502, 503, 504})
"""Refusals that may end; any other means that there is no such stream."""

Receive = Callable[[bytes, Sequence[Call]], object]


async def listen(
    requests: Requests,
    headers: Callable[[Place], dict[str, str]],
    receive: Receive,
    lost: Callable[[], object],
    silence: float,
) -> None:
    """Until the server says that it has no such stream; or no such session, of which `lost` is told."""
    place, pauses = Place(), Pauses()
    has_worked = False
    while True:
        begun, asked = time.monotonic(), 0.0
        try:
            async with requests.open("GET", headers(place)) as response:
                if has_worked and response.status == 404:
                    lost()
                    return
                if not _is_offered(response):
                    return
                requests.check(response)
                has_worked = True
                async for event in requests.events(response, place, silence):
                    pauses.reset()
                    if event.data:
                        with contextlib.suppress(UpstreamError):  # it is no message: the next one may be
                            receive(event.data, ())
        except AuthorizationNeeded:
            pauses.be_patient()
        except GatewayError as error:  # the next try shows whether it is serious
            asked = error.details.get("retry_after", 0.0)
        if time.monotonic() - begun > LONG_LIFE:
            pauses.reset()
        pause = pauses.next(max(place.retry or 0.0, asked))
        requests.health.will_try(pause)
        await asyncio.sleep(pause)


def _is_offered(response: aiohttp.ClientResponse) -> bool:
    return response.content_type == EVENTS if response.ok else response.status in TRANSIENT

"""One run of a server behind a gate that refuses and takes notes."""

import asyncio
import time

from archestra_gateway.errors import GatewayError
from archestra_gateway.sandbox.egress_gate import DenialList
from archestra_gateway.upstreams.server import Server

QUIET = 2.0
LONGEST = 15.0


async def learn(server: Server) -> GatewayError | None:
    """Until it was quiet for a while; what ran before is ended.

    Whatever keeps it from starting is a part of the lesson, and the answer.
    """
    was_enabled = server.is_enabled
    await server.stop()
    server.denials.clear()
    server.is_learning = server.is_enabled = True
    try:
        await server.start()
        await server.tools()
        await quiet(server.denials)
    except GatewayError as error:
        return error
    finally:
        server.is_learning, server.is_enabled = False, was_enabled
        await server.stop()
    return None


async def quiet(denials: DenialList) -> None:
    """Until nothing was refused for `QUIET` seconds, at most `LONGEST`."""
    begun = time.time()
    end = begun + QUIET
    while (now := time.time()) < min(end, begun + LONGEST):
        await asyncio.sleep(min(end, begun + LONGEST) - now)
        end = max(begun, denials.last_at) + QUIET

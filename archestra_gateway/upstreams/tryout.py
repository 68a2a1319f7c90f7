"""One start of a server beside the one that may be running, to see whether it works."""

import asyncio
import time

from msgspec import Raw

from archestra_gateway.errors import UpstreamError, UpstreamTimeout
from archestra_gateway.protocol import jsonrpc, mcp
from archestra_gateway.sandbox.egress_gate import DenialList
from archestra_gateway.sandbox.grants import Wish
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.pool import Pool
from archestra_gateway.upstreams.stderr import Stderr
from archestra_gateway.upstreams.stdio import Child
from archestra_gateway.upstreams.tools import error_text, list_tools


async def try_out(wish: Wish, pool: Pool) -> list[Raw]:
    """Its tools; it is ended again. Raises GatewayError for one that does not start or answer."""
    path = await pool.path_for(wish.config.command)
    stderr = Stderr(pool.limits.stderr_lines, pool.clean)
    denials = DenialList(wish.name)
    launch = await pool.sandbox.launch(wish, path, pool.environment, denials)
    child = Child(wish.name, pool.limits, stderr, pool.watchdog, lambda child, error: None)
    await child.start(launch)
    begun = time.monotonic()
    try:
        async with asyncio.timeout(pool.limits.start_timeout):
            hello = jsonrpc.request(0, mcp.INITIALIZE, mcp.INITIALIZE_PARAMS)
            answer = await child.call(Call(hello, is_own=True))
            if "result" not in answer:
                raise UpstreamError(f"It refused to initialize: {error_text(answer)}")
            await child.send(jsonrpc.notification(mcp.INITIALIZED))
            capabilities = mcp.member(answer["result"], "capabilities")
            has_tools = isinstance(capabilities, dict) and "tools" in capabilities
            return await list_tools(child) if has_tools else []
    except TimeoutError as error:
        raise UpstreamTimeout(
            f"It did not answer within {time.monotonic() - begun:.0f} seconds", stderr=stderr.last(5)
        ) from error
    finally:
        await pool.finish(child.stop())

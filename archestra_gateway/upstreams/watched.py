"""Resources of a server of which clients without a session want to hear, subscribed to once for all."""

import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable

import attrs

from archestra_gateway.errors import GatewayError
from archestra_gateway.protocol import jsonrpc
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.upstream import Upstream


@attrs.define(eq=False)
class Watched:
    """`shared` gives the upstream to subscribe at, `running` the same without starting one."""

    _shared: Callable[[], Awaitable[Upstream]]
    _running: Callable[[], Upstream | None]
    _counts: Counter[str] = attrs.field(factory=Counter)

    def __len__(self) -> int:
        return len(self._counts)

    async def add(self, uri: str) -> bool:
        """Whether the server knows it; one that can not say now is asked again when it is there."""
        self._counts[uri] += 1
        if self._counts[uri] > 1:
            return True
        try:
            is_known = await _ask(await self._shared(), "resources/subscribe", uri)
        except GatewayError:
            return True
        except BaseException:
            self._forget(uri)
            raise
        if not is_known:
            self._forget(uri)
        return is_known

    async def remove(self, uri: str) -> None:
        self._forget(uri)
        upstream = self._running()
        if uri not in self._counts and upstream is not None:
            await _try_to_ask(upstream, "resources/unsubscribe", uri)

    def _forget(self, uri: str) -> None:
        self._counts -= Counter((uri,))  # drops it at zero

    async def again(self, upstream: Upstream) -> None:
        """Of a server that was started again."""
        for uri in list(self._counts):
            await _try_to_ask(upstream, "resources/subscribe", uri)


async def _ask(upstream: Upstream, method: str, uri: str) -> bool:
    answer = await upstream.call(Call(jsonrpc.request(0, method, {"uri": uri}), is_own=True))
    return "result" in answer


async def _try_to_ask(upstream: Upstream, method: str, uri: str) -> None:
    with contextlib.suppress(GatewayError):
        await _ask(upstream, method, uri)

"""Requests of 2026-07-28 at `/mcp_proxy/{server}`, whatever era the server is of."""

from collections.abc import Mapping
from contextlib import AsyncExitStack

import attrs

from archestra_gateway.protocol import jsonrpc, mcp, modern, parameter_headers
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.services.mcp_gateway_listen import Listen
from archestra_gateway.services.mcp_modern_request import Request
from archestra_gateway.services.mcp_rounds import Rounds
from archestra_gateway.services.mcp_view import Visibility
from archestra_gateway.upstreams.server import Server


@attrs.frozen(eq=False)
class ModernProxy:
    """`listens` are the open `subscriptions/listen`."""

    rounds: Rounds
    listens: set[Listen] = attrs.field(factory=set)

    async def answer(self, request: Request, parameters: parameter_headers.Values) -> Message:
        """What the server answers, as this era wants it. Raises GatewayError."""
        server, message = request.server, request.message
        method = mcp.method(message)
        if method in modern.REMOVED:
            refusal = f"There is no method {method} in {modern.VERSION}"
            return jsonrpc.error(message["id"], jsonrpc.METHOD_NOT_FOUND, refusal)
        if method == modern.LISTEN:
            answer = await self._listen(request)
        elif method == modern.DISCOVER:
            answer = await _discover(server, message)
        else:
            await _check_parameters(request, parameters)
            answer = await self.rounds.ask(request)
        info = mcp.member(server.initialized, "serverInfo") or modern.SERVER_INFO
        return modern.answer(answer, method, mcp.member(message.get("params"), "uri"), info)

    def stop(self) -> None:
        """End the streams that have no end of their own."""
        for listen in self.listens:
            listen.ended.set()

    async def _listen(self, request: Request) -> Message:
        """Until the client leaves or the gateway stops."""
        server = request.server
        if request.listener is None:
            raise jsonrpc.InvalidMessage(f"{modern.LISTEN} needs `Accept: text/event-stream`")
        await server.shared()
        asked = Listen.wanted(request.message, request.listener, Visibility())
        listen = asked.within(mcp.member(server.initialized, "capabilities") or {})

        def hear(_: str, news: Message | None) -> None:
            if news is not None:
                listen.hear_news(news)

        listen.acknowledge()
        self.listens.add(listen)
        server.watchers.append(hear)
        try:
            async with AsyncExitStack() as watching:
                for uri in listen.uris:
                    if await server.watched.add(uri):
                        watching.push_async_callback(server.watched.remove, uri)
                await listen.ended.wait()
        finally:
            server.watchers.remove(hear)
            self.listens.discard(listen)
        return listen.result()


async def _check_parameters(request: Request, said: Mapping[str, tuple[str, ...]]) -> None:
    """Raises HeaderMismatch."""
    if mcp.method(request.message) != "tools/call":
        return
    params = request.message.get("params")
    wanted = (await request.server.parameters()).of(mcp.tool_name(params))
    if wanted:
        parameter_headers.check(wanted, mcp.member(params, "arguments"), said)


async def _discover(server: Server, message: Message) -> Message:
    """What the server said about itself when it was initialized."""
    await server.shared()
    said = mcp.members(server.initialized)
    told = {name: said[name] for name in ("capabilities", "instructions") if name in said}
    return jsonrpc.result(message["id"], {"supportedVersions": list(modern.SUPPORTED), **told})

"""What one conversation with a server shows of its tools: only definitions that were accepted."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from msgspec import Raw

from archestra_gateway.errors import GatewayError, ToolHeldBack
from archestra_gateway.protocol import jsonrpc, mcp, modern
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.pins import Abilities, Pins, abilities
from archestra_gateway.upstreams.tools import list_tools
from archestra_gateway.upstreams.upstream import Upstream

PATIENCE = 10.0
"""Seconds that a server has to list its tools before calls go on; nobody is shown what it did not list."""
PAUSE, LONGEST_PAUSE = 0.1, 30.0
"""Seconds before a look at a server that says all the time that its tools have changed: more with each."""

LIST = jsonrpc.raw("tools/list")
CALL = jsonrpc.raw("tools/call")

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class ToolGate:
    """`seen_by` is what the client can do; `spawn` owns the looks that nobody waits for."""

    def __init__(self, name: str, pins: Pins, upstream: Upstream, seen_by: Abilities, spawn: Spawn) -> None:
        self._name = name
        self._pins = pins
        self._upstream = upstream
        self._seen_by = seen_by
        self._conversation = pins.new_conversation()
        self._spawn = spawn
        self._changes = 0
        self._looked = -1
        self._looking: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    def concerns(self, method: Raw) -> bool:
        """All that a call costs while nothing is held back."""
        if method == CALL:
            return self._looked != self._changes or bool(self._pins.held)
        return method == LIST or (
            b"\\" in bytes(method) and jsonrpc.value(method) in ("tools/call", "tools/list")
        )

    async def pass_on(self, call: Call, ask: Callable[[Call], Awaitable[Message]]) -> Message:
        """The answer to a `tools/list` or `tools/call` of a client."""
        if mcp.method(call.message) == "tools/call":
            return await self.refusal(call) or await ask(call)
        changes = self._changes
        answer = await ask(call)
        return answer if "result" not in answer else await self._sifted(call, answer, changes)

    async def tools(self) -> list[Raw]:
        """Those that may be shown, all pages of them. Raises GatewayError."""
        changes = self._changes
        kept = await self.saw(await list_tools(self._upstream))
        self._looked = max(self._looked, changes)
        return kept

    async def saw(self, tools: Iterable[Raw]) -> list[Raw]:
        """Those of all tools that may be shown."""
        return await self._pins.observe(tools, self._seen_by, self._conversation, is_whole=True)

    async def look(self) -> None:
        """Once, however many wait for it; what goes wrong shows in what a server is asked next."""
        if self._looking is None:
            self._looking = self._spawn(self._try_to_look())
        await asyncio.shield(self._looking)

    def changed(self) -> None:
        """The server says that its tools are others now, or it is another one itself."""
        self._changes += 1
        if self._watching is None:
            self._watching = self._spawn(self._watch())

    async def _try_to_look(self) -> None:
        changes = self._changes
        try:
            async with asyncio.timeout(PATIENCE):
                await self.tools()
        except (GatewayError, TimeoutError):
            pass
        finally:
            self._looked = max(self._looked, changes)
            self._looking = None

    async def _watch(self) -> None:
        try:
            pause = PAUSE
            while self._looked != self._changes:
                await asyncio.sleep(pause)
                await self.look()
                pause = min(pause * 3, LONGEST_PAUSE)
        finally:
            self._watching = None

    async def refusal(self, call: Call) -> Message | None:
        """Why a tool is not called, if it is not."""
        if mcp.method(call.message) != "tools/call":
            return None
        if self._looked != self._changes:
            await self.look()
        held = self._pins.held
        name = mcp.tool_name(call.message.get("params")) if held else None
        if name is None or name not in held:
            return None
        return jsonrpc.failure(call.message.get("id"), held_back(self._name, name, self._pins))

    async def _sifted(self, call: Call, answer: Message, changes: int) -> Message:
        """The same bytes, unless something in them is held back."""
        params = call.message.get("params")
        page = mcp.members(answer["result"])
        items = _items(page.get("tools"))
        is_whole = "nextCursor" not in page and "cursor" not in mcp.members(params)
        if not is_whole and self._seen_by not in self._pins.sights:
            await self.look()
        client = self._client(params)
        kept = await self._pins.observe(items, client, self._conversation, is_whole=is_whole)
        if is_whole:
            self._looked = max(self._looked, changes)
        if len(kept) == len(items):
            return answer
        return {**answer, "result": jsonrpc.raw({**page, "tools": kept})}

    def _client(self, params: Raw | None) -> Abilities:
        """Since 2026-07-28 each request says what its client can do."""
        said = mcp.meta(params).get(modern.CAPABILITIES_KEY)
        return self._seen_by if said is None else abilities(jsonrpc.value(said))


def held_back(server: str, tool: str, pins: Pins) -> ToolHeldBack:
    what = "its definition is not the one that was accepted" if tool in pins.accepted else "it is new"
    changes = f"/api/mcp_server/{server}/tools/changes"
    accept = f"/api/mcp_server/{server}/tools/accept"
    return ToolHeldBack(
        f"The tool {tool} of the MCP server {server} is held back, for {what}. GET {changes} shows the "
        f"change, POST {accept} accepts it",
        name=server,
        tool=tool,
        changes=changes,
        accept=accept,
    )


def _items(text: Raw | None) -> list[Raw]:
    try:
        return jsonrpc.elements(bytes(text or b"[]"))
    except jsonrpc.ParseError:
        return []

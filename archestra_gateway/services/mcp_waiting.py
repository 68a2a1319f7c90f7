"""Calls of a client that no server has yet: they wait for a server's start, or for what servers offer."""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any

from archestra_gateway.protocol import jsonrpc, mcp
from archestra_gateway.protocol.jsonrpc import Message

Task = asyncio.Task[Any] | None


class Waiting:
    """Each call by the task that answers it: a client may give two calls one id, against the rules."""

    def __init__(self) -> None:
        self._calls: dict[Task, tuple[bytes, asyncio.Timeout]] = {}

    def __len__(self) -> int:
        return len(self._calls)

    async def answer(self, message: Message, answering: Awaitable[Message]) -> Message:
        """What comes of `answering`, unless `cancel` breaks it off."""
        task = asyncio.current_task()
        try:
            async with asyncio.timeout(None) as patience:
                self._calls[task] = bytes(message.get("id", b"")), patience
                return await answering
        except TimeoutError:
            if not patience.expired():
                raise
            refusal = "The client cancelled the request"
            return jsonrpc.error(message.get("id"), mcp.REQUEST_CANCELLED, refusal)
        finally:
            self._calls.pop(task, None)

    @contextmanager
    def over(self) -> Iterator[None]:
        """A server has the call that this task answers, and hears of a cancel itself."""
        task = asyncio.current_task()
        call = self._calls.pop(task, None)
        try:
            yield
        finally:
            if call is not None:
                self._calls[task] = call

    def cancel(self, message: Message) -> bool:
        """Whether the client's `notifications/cancelled` is about one of these."""
        wanted = bytes(mcp.request_id(message.get("params")) or b"")
        found = [patience for identifier, patience in self._calls.values() if identifier == wanted]
        for patience in found:
            if not patience.expired():
                patience.reschedule(0)
        return bool(found)

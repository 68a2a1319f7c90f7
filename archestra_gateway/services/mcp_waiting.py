"""Calls of a client that no server has yet: they wait for a server's start, or for what servers offer."""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager

from archestra_gateway.protocol import jsonrpc, mcp
from archestra_gateway.protocol.jsonrpc import Message


class Waiting:
    def __init__(self) -> None:
        self._patience: dict[bytes, asyncio.Timeout] = {}

    def __len__(self) -> int:
        return len(self._patience)

    async def answer(self, message: Message, answering: Awaitable[Message]) -> Message:
        """What comes of `answering`, unless `cancel` breaks it off."""
        key = _key(message)
        try:
            async with asyncio.timeout(None) as patience:
                self._patience[key] = patience
                return await answering
        except TimeoutError:
            if not patience.expired():
                raise
            refusal = "The client cancelled the request"
            return jsonrpc.error(message.get("id"), mcp.REQUEST_CANCELLED, refusal)
        finally:
            if self._patience.get(key) is patience:
                del self._patience[key]

    @contextmanager
    def over(self, message: Message) -> Iterator[None]:
        """A server has it, and hears of a cancel itself."""
        patience = self._patience.pop(_key(message), None)
        try:
            yield
        finally:
            if patience is not None:
                self._patience[_key(message)] = patience

    def cancel(self, message: Message) -> bool:
        """Whether the client's `notifications/cancelled` is about one of these."""
        patience = self._patience.get(bytes(mcp.request_id(message.get("params")) or b""))
        if patience is not None and not patience.expired():
            patience.reschedule(0)
        return patience is not None


def _key(message: Message) -> bytes:
    return bytes(message.get("id", b""))

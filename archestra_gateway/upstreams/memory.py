"""What a session has told its server, to be said again when the server has forgotten it."""

import attrs

from archestra_gateway.protocol import jsonrpc, mcp
from archestra_gateway.protocol.jsonrpc import Message

SET_LEVEL = jsonrpc.raw("logging/setLevel")
SUBSCRIBE = jsonrpc.raw("resources/subscribe")
UNSUBSCRIBE = jsonrpc.raw("resources/unsubscribe")
NOTED = frozenset(map(bytes, (SET_LEVEL, SUBSCRIBE, UNSUBSCRIBE)))


@attrs.define(eq=False)
class Memory:
    """`opening` is the `initialize` that the session began with."""

    opening: Message | None = None
    _level: Message | None = None
    _subscriptions: dict[str, Message] = attrs.field(factory=dict)

    def note(self, message: Message, answer: Message) -> None:
        method = message["method"]
        if bytes(method) not in NOTED or "result" not in answer:
            return
        if method == SET_LEVEL:
            self._level = message
        elif method == SUBSCRIBE:
            self._subscriptions[_uri(message)] = message
        else:
            self._subscriptions.pop(_uri(message), None)

    def again(self) -> list[Message]:
        level = [self._level] if self._level is not None else []
        return [*level, *self._subscriptions.values()]


def _uri(message: Message) -> str:
    return str(mcp.member(message.get("params"), "uri"))

"""Who hears the upstream of calls without a session: nobody who could answer what a server asks."""

from collections.abc import Callable, Sequence

from archestra_gateway.protocol import jsonrpc, mcp
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.upstreams.dialogue import Audience, Call, Dialogue


def audience(broadcast: Callable[[Message], object], dialogue: Dialogue) -> Audience:
    """`broadcast` gets what a server says about itself."""

    def hear(message: Message, causes: Sequence[Call]) -> None:
        method = mcp.method(message)
        is_clear = dialogue.knows_causes or len(causes) == 1
        if method in mcp.FOR_EVERY_SESSION:
            broadcast(message)
        elif method == "ping" and "id" in message:
            dialogue.tell(jsonrpc.result(message["id"], {}))
        elif "id" in message:
            for call in causes if is_clear else ():
                call.was_asked(message)
            refusal = f"No client is there to answer {method}: open a session with `initialize`"
            dialogue.tell(jsonrpc.error(message["id"], jsonrpc.METHOD_NOT_FOUND, refusal))
        elif is_clear:
            for call in causes:
                call.tell(message)

    return hear

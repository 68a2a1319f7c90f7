"""What the pool and the proxy need from a live MCP server, wherever it runs."""

from typing import Protocol

from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.upstreams.dialogue import Call, Dialogue


class Upstream(Protocol):
    """One conversation; `pid` is 0 where there is no process of ours."""

    dialogue: Dialogue

    @property
    def pid(self) -> int: ...

    @property
    def sandbox(self) -> str: ...

    @property
    def keeps_session(self) -> bool:
        """Whether the server could ask in the middle of a call, or speak unasked."""

    @property
    def has_ended(self) -> bool: ...

    def begin_call(self, call: Call) -> bool:
        """Send it at once, where nothing has to be waited for; its answer comes through `call.answer`."""

    async def call(self, call: Call) -> Message:
        """The answer with the client's own id. Raises GatewayError when there will be none."""

    async def send(self, message: Message) -> None:
        """A notification, or an answer to something the server asked."""

    async def stop(self) -> None: ...

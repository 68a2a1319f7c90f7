"""Who calls a method of /mcp, and the messages that go to and fro. Pure."""

from typing import Any

import attrs
from msgspec import Raw

from archestra_gateway.protocol import jsonrpc, mcp
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.protocol.modern import Envelope, InvalidParams
from archestra_gateway.protocol.parameter_headers import Values
from archestra_gateway.services.mcp_gateway_session import GatewaySession
from archestra_gateway.services.mcp_own_tools import CALL_TOOL
from archestra_gateway.services.mcp_request_log import Entry
from archestra_gateway.services.mcp_view import Visibility
from archestra_gateway.upstreams.dialogue import Listener
from archestra_gateway.upstreams.pins import NO_ABILITIES, Abilities, abilities

RESOURCE_NOT_FOUND = -32002


@attrs.frozen(eq=False)
class Caller:
    """Who calls; without a `session` nobody is there to answer a server's questions.

    `envelope` and `parameters`, the headers `Mcp-Param-*`, are None in the eras that do not know them.
    """

    visibility: Visibility
    may_administer: bool
    entry: Entry
    listener: Listener | None
    session: GatewaySession | None = None
    envelope: Envelope | None = None
    parameters: Values | None = None

    @property
    def abilities(self) -> Abilities:
        """What it can do for servers in the middle of a call."""
        if self.session is not None:
            return self.session.abilities
        return NO_ABILITIES if self.envelope is None else abilities(self.envelope.capabilities)


def no_such_method(message: Message) -> Message:
    refusal = f"There is no method {mcp.method(message)} here"
    return jsonrpc.error(message.get("id"), jsonrpc.METHOD_NOT_FOUND, refusal)


def no_such_resource(message: Message, uri: str) -> Message:
    return jsonrpc.error(message.get("id"), RESOURCE_NOT_FOUND, "Resource not found", {"uri": uri})


def result(message: Message, outcome: Any) -> Message:
    return jsonrpc.result(message.get("id"), outcome)


def with_parameter(message: Message, name: str, value: Any) -> Message:
    return {**message, "params": mcp.with_member(message.get("params"), name, jsonrpc.raw(value))}


def text(message: Message, name: str) -> str:
    """A parameter that must be a text. Raises InvalidParams."""
    value = mcp.member(message.get("params"), name)
    if not isinstance(value, str):
        raise InvalidParams(f"`params.{name}` must be a text")
    return value


def unwrapped(message: Message) -> Message:
    """The call that `call_tool` was called for. Raises InvalidParams."""
    inner = mcp.members(mcp.members(message.get("params")).get("arguments"))
    name = jsonrpc.value(inner.get("name"))
    if not isinstance(name, str) or name == CALL_TOOL.name:
        raise InvalidParams("call_tool needs the `name` of the tool to call, and its `arguments`")
    params = mcp.with_member(message.get("params"), "name", jsonrpc.raw(name))
    arguments = inner.get("arguments", Raw(b"{}"))
    return {**message, "params": mcp.with_member(params, "arguments", arguments)}

"""One request of a client of 2026-07-28, and what it may be told by a server of the old era."""

from hashlib import sha256
from typing import Any

import attrs
import msgspec
from msgspec import Raw

from archestra_gateway.protocol import eras, jsonrpc, mcp, modern
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.services.mcp_request_log import Entry
from archestra_gateway.upstreams.dialogue import Call, Listener
from archestra_gateway.upstreams.server import Server

LOG_MESSAGE = "notifications/message"

Key = tuple[str, Server, bytes]


@attrs.frozen(eq=False)
class Request:
    """`client` is under whose name it came."""

    client: str
    server: Server
    message: Message
    envelope: modern.Envelope
    listener: Listener | None

    @property
    def key(self) -> Key:
        return self.client, self.server, bytes(eras.opening(self.envelope))

    @property
    def digest(self) -> bytes:
        """What a retry must share with the call."""
        rest = mcp.members(eras.without_envelope(self.message).get("params"))
        rest.pop("_meta", None)
        said = [mcp.method(self.message), {name: jsonrpc.value(text) for name, text in rest.items()}]
        return sha256(msgspec.json.encode(said, order="deterministic")).digest()

    @property
    def may_be_asked(self) -> bool:
        return any(capability in self.envelope.capabilities for capability in eras.ASKED_FOR.values())


def named(entry: Entry) -> str:
    """Under whose name calls are kept apart: the client that the gateway knows, or what it calls itself."""
    return entry.client or entry.client_info.get("client_name") or ""


def with_pages(request: Request, answer: Message) -> Message:
    """Where a person must visit pages first, the client is told so, and calls again.

    Raises MissingCapability.
    """
    pages = eras.urls_required(answer)
    if not pages:
        return answer
    if "url" not in (request.envelope.capabilities.get("elicitation") or {}):
        raise missing_capability({"elicitation": {"url": {}}})
    asked = {"resultType": "input_required", "inputRequests": pages}
    return jsonrpc.result(request.message["id"], asked)


def without_log(listener: Listener | None) -> Listener | None:
    """In this era log messages come only to those who name a level."""
    if listener is None:
        return None
    return lambda message: mcp.method(message) != LOG_MESSAGE and listener(message)


def refuse(call: Call, method: str) -> None:
    if method in eras.ASKED_FOR:
        call.settle(jsonrpc.failure(call.message.get("id"), missing_capability({eras.ASKED_FOR[method]: {}})))


def missing_capability(capabilities: dict[str, Any]) -> modern.MissingCapability:
    return modern.MissingCapability(
        f"The MCP server needs a client with {' and '.join(capabilities)}", requiredCapabilities=capabilities
    )


def input_responses(text: Raw | None) -> Message:
    """By key. Raises InvalidParams."""
    found = mcp.members(text) if text is not None else {}
    if not all(bytes(response).lstrip()[:1] == b"{" for response in found.values()):
        raise modern.InvalidParams("Each of `inputResponses` must be an object")
    return found

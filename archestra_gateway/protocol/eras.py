"""Between the eras: what 2025-11-25 and 2026-07-28 call differently, each way. Pure."""

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from archestra_gateway.protocol import jsonrpc, mcp, modern
from archestra_gateway.protocol.jsonrpc import Message

ASKED_FOR: Mapping[str, str] = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}
"""What a server may ask a client, and the capability that it needs for that."""

RESOURCE_NOT_FOUND = -32002
URLS_REQUIRED = -32042
"""An error of 2025-11-25: the person has to visit pages first, and the call is to be made again."""

_RETRY = ("inputResponses", "requestState")
_ADDED = ("resultType", "ttlMs", "cacheScope")


def opening(envelope: modern.Envelope) -> Raw:
    """What a client of 2026-07-28 would send with `initialize`."""
    params = {**mcp.INITIALIZE_PARAMS, "capabilities": envelope.capabilities}
    if isinstance(envelope.client_info, dict):
        params["clientInfo"] = envelope.client_info
    return jsonrpc.raw(params)


def without_envelope(message: Message) -> Message:
    """A request of 2026-07-28 as it would be within a session."""
    params = mcp.members(message.get("params"))
    for name in _RETRY:
        params.pop(name, None)
    meta = {
        name: text for name, text in mcp.meta(message.get("params")).items() if name not in modern.ENVELOPE
    }
    return {**message, "params": jsonrpc.raw(_with_meta(params, meta))}


def with_envelope(message: Message, envelope: Mapping[str, Any], retry: Mapping[str, Any]) -> Message:
    """A request of a session as 2026-07-28 wants it; `retry` are members of `params`."""
    params = message.get("params")
    meta = {**mcp.meta(params), **envelope}
    return {**message, "params": jsonrpc.raw({**mcp.members(params), **retry, "_meta": meta})}


def initialized(discovered: Raw, params: Raw | None, name: str) -> dict[str, Any]:
    """The result of `initialize`, from that of `server/discover`."""
    said = mcp.members(discovered)
    wanted = mcp.member(params, "protocolVersion")
    told = {
        "protocolVersion": wanted if wanted in mcp.SESSION_VERSIONS else mcp.SESSION_VERSIONS[0],
        "capabilities": said.get("capabilities", Raw(b"{}")),
        "serverInfo": mcp.meta(discovered).get(modern.SERVER_INFO_KEY, {"name": name, "version": ""}),
    }
    return told if "instructions" not in said else {**told, "instructions": said["instructions"]}


def old_answer(message: Message, method: str) -> Message:
    """A new server's answer to `method` without what sessions do not know."""
    if "result" in message:
        members = mcp.members(message["result"])
        if any(name in members for name in _ADDED):
            kept = {name: text for name, text in members.items() if name not in _ADDED}
            return {**message, "result": jsonrpc.raw(kept)}
        return message
    error = jsonrpc.value(message.get("error"))
    if method == "resources/read" and isinstance(error, dict) and error.get("code") == jsonrpc.INVALID_PARAMS:
        data = error.get("data")
        if isinstance(data, dict) and "uri" in data:
            return {**message, "error": jsonrpc.raw({**error, "code": RESOURCE_NOT_FOUND})}
    return message


def asks(answer: Message) -> bool:
    """Whether it is an InputRequiredResult."""
    result = answer.get("result", jsonrpc.NULL)
    return b"input_required" in bytes(result) and mcp.member(result, "resultType") == "input_required"


def input_requests(answer: Message) -> dict[str, Message]:
    """What an InputRequiredResult asks for, by the server's keys."""
    asked = mcp.members(mcp.members(answer["result"]).get("inputRequests"))
    return {key: mcp.members(request) for key, request in asked.items()}


def input_request(question: Message) -> Message:
    """A question of a session as an InputRequiredResult has it."""
    params = mcp.members(question.get("params"))
    kept = {name: text for name, text in params.items() if name not in ("_meta", "task", "elicitationId")}
    return {"method": question["method"], "params": jsonrpc.raw(kept)}


def question(identifier: str, request: Message) -> Message:
    """An entry of an InputRequiredResult as a session asks it."""
    params = request.get("params", Raw(b"{}"))
    if mcp.member(params, "mode") == "url":
        params = mcp.with_member(params, "elicitationId", jsonrpc.raw(identifier))
    return {
        "jsonrpc": jsonrpc.VERSION,
        "id": jsonrpc.raw(identifier),
        "method": request.get("method", jsonrpc.raw("")),
        "params": params,
    }


def urls_required(answer: Message) -> dict[str, Message]:
    """The pages of such an error, as an InputRequiredResult asks for them."""
    error = jsonrpc.value(answer.get("error"))
    if not isinstance(error, dict) or error.get("code") != URLS_REQUIRED:
        return {}
    data = error.get("data")
    pages = data.get("elicitations") if isinstance(data, dict) else None
    asked = {"jsonrpc": jsonrpc.VERSION, "method": jsonrpc.raw("elicitation/create")}
    return {
        f"page-{number}": input_request({**asked, "params": jsonrpc.raw(page)})
        for number, page in enumerate(pages if isinstance(pages, list) else (), start=1)
        if isinstance(page, dict)
    }


def without_subscription(message: Message) -> Message:
    """News of a `subscriptions/listen` as a session hears them."""
    params = message.get("params")
    meta = {name: text for name, text in mcp.meta(params).items() if name != modern.SUBSCRIPTION_KEY}
    members = _with_meta(mcp.members(params), meta)
    news = {name: text for name, text in message.items() if name != "params"}
    return {**news, "params": jsonrpc.raw(members)} if members else news


def _with_meta(params: Message, meta: Message) -> dict[str, Any]:
    rest: dict[str, Any] = {name: text for name, text in params.items() if name != "_meta"}
    return {**rest, "_meta": meta} if meta else rest

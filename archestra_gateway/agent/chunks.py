"""The AI SDK's UI message chunks, and the one frame in which each of them travels. Pure.

Only fields that every client from ai 5.0.0 on accepts: an unknown one is fatal there, and so is a null.
"""

from typing import Any

import msgspec

Chunk = dict[str, Any]

EVENTS = {
    "start": "message_start",
    "text-delta": "content_delta",
    "tool-input-start": "tool_call_start",
    "tool-output-available": "tool_call_result",
    "tool-output-error": "tool_call_result",
    "reasoning-delta": "data_part",
    "finish": "message_complete",
    "error": "error",
    "data-ping": "ping",
}
"""The product's own name of a chunk; `data-…` is `data_part`, and any other has none."""

DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.Encoder().encode


def event_name(kind: str) -> str | None:
    return EVENTS.get(kind) or ("data_part" if kind.startswith("data-") else None)


def frame(chunk: Chunk, number: int | None = None) -> bytes:
    """`event:` and `id:` for readers of plain events, `data:` for the AI SDK, which reads nothing else."""
    name = event_name(chunk["type"])
    head = b"" if name is None else b"event: %b\n" % name.encode()
    if number is not None:
        head += b"id: %d\n" % number
    return b"%bdata: %b\n\n" % (head, _encode(chunk))


def number_of(block: bytes) -> int:
    """The number of a frame that has one."""
    head = block[: block.index(b"data:")]
    return int(head[head.index(b"id: ") + 4 :].split(b"\n", 1)[0])


def chunk_of(block: bytes) -> Chunk:
    """The chunk of a frame."""
    chunk: Chunk = msgspec.json.decode(block[block.index(b"data: ") + 6 :])
    return chunk


def start(message_id: str, metadata: dict[str, Any]) -> Chunk:
    return {"type": "start", "messageId": message_id, "messageMetadata": metadata}


def finish(metadata: dict[str, Any]) -> Chunk:
    return {"type": "finish", "messageMetadata": metadata}


def metadata(values: dict[str, Any]) -> Chunk:
    return {"type": "message-metadata", "messageMetadata": values}


START_STEP: Chunk = {"type": "start-step"}
FINISH_STEP: Chunk = {"type": "finish-step"}
ABORT: Chunk = {"type": "abort"}


def error(text: str) -> Chunk:
    """A client ends its reading at once: whatever else it should know has come before."""
    return {"type": "error", "errorText": text}


def text_start(part: str) -> Chunk:
    return {"type": "text-start", "id": part}


def text_delta(part: str, text: str) -> Chunk:
    return {"type": "text-delta", "id": part, "delta": text}


def text_end(part: str) -> Chunk:
    return {"type": "text-end", "id": part}


def reasoning_start(part: str) -> Chunk:
    return {"type": "reasoning-start", "id": part}


def reasoning_delta(part: str, text: str) -> Chunk:
    return {"type": "reasoning-delta", "id": part, "delta": text}


def reasoning_end(part: str, seal: dict[str, Any] | None = None) -> Chunk:
    chunk: Chunk = {"type": "reasoning-end", "id": part}
    return {**chunk, "providerMetadata": seal} if seal else chunk


def ours(is_ours: bool) -> dict[str, bool]:
    """A tool that the gateway runs itself, as against one of the client's own."""
    return {"providerExecuted": True, "dynamic": True} if is_ours else {}


def tool_input_start(call: str, tool: str, *, is_ours: bool) -> Chunk:
    return {"type": "tool-input-start", "toolCallId": call, "toolName": tool, **ours(is_ours)}


def tool_input_delta(call: str, text: str) -> Chunk:
    return {"type": "tool-input-delta", "toolCallId": call, "inputTextDelta": text}


def tool_input_available(call: str, tool: str, value: Any, *, is_ours: bool) -> Chunk:
    return {
        "type": "tool-input-available",
        "toolCallId": call,
        "toolName": tool,
        "input": value,
        **ours(is_ours),
    }


def tool_output(call: str, output: Any) -> Chunk:
    return {"type": "tool-output-available", "toolCallId": call, "output": output, **ours(True)}


def tool_error(call: str, text: str) -> Chunk:
    return {"type": "tool-output-error", "toolCallId": call, "errorText": text, **ours(True)}


def data(name: str, value: Any, *, part: str | None = None, is_transient: bool = False) -> Chunk:
    """A part of our own; a later one with the same `part` id takes its place."""
    chunk: Chunk = {"type": f"data-{name}", "data": value}
    if part is not None:
        chunk["id"] = part
    return {**chunk, "transient": True} if is_transient else chunk


def notice(text: str, part: str | None = None) -> Chunk:
    """Something that people should know about how this answer came to be."""
    return data("notice", {"message": text}, part=part)


def tool_approval_request(approval: str, call: str) -> Chunk:
    """Only for clients that asked for it: ai 5 does not know it, and ends at once."""
    return {"type": "tool-approval-request", "approvalId": approval, "toolCallId": call}


PING = frame({"type": "data-ping", "data": {}, "transient": True})

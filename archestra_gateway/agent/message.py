"""The UI message that a stream of chunks adds up to, as the AI SDK's own clients build it. Pure."""

from typing import Any, Self

import attrs

from archestra_gateway.agent.chunks import Chunk

Part = dict[str, Any]

INTERRUPTED = "The gateway ended before there was an answer"
WAITING = ("input-streaming", "input-available")


@attrs.define
class Message:
    """Grows with every chunk; a continued message brings the parts that it has."""

    id: str
    metadata: dict[str, Any] = attrs.field(factory=dict)
    parts: list[Part] = attrs.field(factory=list)
    _texts: dict[str, tuple[Part, list[str]]] = attrs.field(factory=dict)

    @classmethod
    def continued(cls, message: dict[str, Any]) -> Self:
        return cls(
            message["id"], dict(message.get("metadata") or {}), [dict(part) for part in message["parts"]]
        )

    def apply(self, chunk: Chunk) -> None:
        kind: str = chunk["type"]
        if kind in ("text-delta", "reasoning-delta"):
            self._texts[kind[0] + chunk["id"]][1].append(chunk["delta"])
        elif kind.startswith("data-"):
            self._set_data(chunk)
        elif kind.startswith("tool-"):
            self._apply_to_tool(kind, chunk)
        elif (apply := _OTHERS.get(kind)) is not None:
            apply(self, chunk)

    def shown(self) -> dict[str, Any]:
        """As it is now; text that still comes has the state `streaming`."""
        for part, pieces in self._texts.values():
            part["text"] = pieces[0] if len(pieces) == 1 else "".join(pieces)
            pieces[:] = [part["text"]]
        return {"id": self.id, "role": "assistant", "metadata": self.metadata, "parts": self.parts}

    def settled(self) -> dict[str, Any]:
        """As it stays: nothing in it waits for something that will not come."""
        for key in list(self._texts):
            self._end(key)
        for part in self.parts:
            if part.get("state") in WAITING and part.get("providerExecuted"):
                part.update(state="output-error", errorText=INTERRUPTED)
                part.setdefault("input", {})
        return self.shown()

    def tool_part(self, call: str) -> Part | None:
        return next((part for part in reversed(self.parts) if part.get("toolCallId") == call), None)

    def _merge(self, chunk: Chunk) -> None:
        self.metadata.update(chunk.get("messageMetadata") or {})

    def _start(self, chunk: Chunk) -> None:
        self.id = chunk.get("messageId", self.id)
        self._merge(chunk)

    def _start_step(self, chunk: Chunk) -> None:
        self.parts.append({"type": "step-start"})

    def _begin(self, chunk: Chunk) -> None:
        kind = chunk["type"].removesuffix("-start")
        part = {"type": kind, "text": "", "state": "streaming"}
        self.parts.append(part)
        self._texts[kind[0] + chunk["id"]] = (part, [])

    def _finish_text(self, chunk: Chunk) -> None:
        key = chunk["type"][0] + chunk["id"]
        if "providerMetadata" in chunk:
            self._texts[key][0]["providerMetadata"] = chunk["providerMetadata"]
        self._end(key)

    def _end(self, key: str) -> None:
        part, pieces = self._texts.pop(key)
        part.update(text="".join(pieces), state="done")

    def _set_data(self, chunk: Chunk) -> None:
        if chunk.get("transient"):
            return
        part = {key: value for key, value in chunk.items() if key != "transient"}
        for place, known in enumerate(self.parts):
            if "id" in part and (known["type"], known.get("id")) == (part["type"], part["id"]):
                self.parts[place] = part
                return
        self.parts.append(part)

    def _apply_to_tool(self, kind: str, chunk: Chunk) -> None:
        part = self.tool_part(chunk["toolCallId"])
        if part is None or kind == "tool-input-start":
            part = _tool_part(chunk)
            self.parts.append(part)
        match kind:
            case "tool-input-start":
                part["state"] = "input-streaming"
            case "tool-input-available":
                part.update(state="input-available", input=chunk["input"])
            case "tool-output-available":
                part.update(state="output-available", output=chunk["output"])
            case "tool-output-error":
                part.update(state="output-error", errorText=chunk["errorText"])
            case "tool-approval-request":
                part.update(state="approval-requested", approval={"id": chunk["approvalId"]})


def _tool_part(chunk: Chunk) -> Part:
    name = chunk.get("toolName", "")
    if chunk.get("dynamic"):
        part: Part = {"type": "dynamic-tool", "toolName": name, "toolCallId": chunk["toolCallId"]}
    else:
        part = {"type": f"tool-{name}", "toolCallId": chunk["toolCallId"]}
    return {**part, "providerExecuted": True} if chunk.get("providerExecuted") else part


_OTHERS = {
    "start": Message._start,
    "finish": Message._merge,
    "message-metadata": Message._merge,
    "start-step": Message._start_step,
    "text-start": Message._begin,
    "reasoning-start": Message._begin,
    "text-end": Message._finish_text,
    "reasoning-end": Message._finish_text,
}

"""Anthropic's messages: content blocks, and results of tools as a user's turn. Pure."""

from typing import Any

import attrs
import msgspec

from archestra_gateway.protocol.lines import LongLineError
from archestra_gateway.protocol.sse import Events
from archestra_gateway.providers.conversation import (
    AssistantTurn,
    CallBegun,
    CallDelta,
    CallReady,
    Failed,
    Finished,
    ModelEvent,
    Prompt,
    ReasoningDelta,
    TextDelta,
    Thinking,
    Thought,
    ThoughtEnded,
    ToolResult,
    ToolTurn,
    Turn,
    UserTurn,
)
from archestra_gateway.providers.dialect import (
    BROKEN_OFF,
    LONGEST_EVENT,
    Dialect,
    error_text,
    object_schema,
    tool_input,
)

MOST_TOKENS = 8192
THINKING_TOKENS = 8192
THINKING: dict[Thinking, dict[str, Any]] = {
    "auto": {},
    "on": {"thinking": {"type": "adaptive", "display": "summarized"}},
    "budget": {"thinking": {"type": "enabled", "budget_tokens": THINKING_TOKENS}},
    "off": {"thinking": {"type": "disabled"}},
}
REASONS = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool-calls"}


class _Block(msgspec.Struct):
    type: str = ""
    name: str = ""
    text: str = ""
    data: str = ""


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None


class _Message(msgspec.Struct):
    usage: _Usage = msgspec.field(default_factory=_Usage)


class _Event(msgspec.Struct):
    type: str
    index: int = 0
    content_block: _Block = msgspec.field(default_factory=_Block)
    delta: _Delta = msgspec.field(default_factory=_Delta)
    usage: _Usage = msgspec.field(default_factory=_Usage)
    message: _Message = msgspec.field(default_factory=_Message)


_decoder = msgspec.json.Decoder(_Event)


def body(prompt: Prompt) -> dict[str, Any]:
    question = max((at for at, turn in enumerate(prompt.turns) if isinstance(turn, UserTurn)), default=-1)
    thinking = _thinking(prompt, question)
    room = THINKING_TOKENS if thinking in ("on", "budget") else 0
    wanted: dict[str, Any] = {
        "model": prompt.model,
        "max_tokens": 64 if prompt.is_brief else MOST_TOKENS + room,
        "messages": [_message(turn, is_new=at > question) for at, turn in enumerate(prompt.turns)],
        "stream": True,
        **THINKING[thinking],
    }
    if prompt.system:
        wanted["system"] = prompt.system
    if prompt.tools:
        wanted["tools"] = [
            {
                "name": tool.name,
                "description": tool.description,
                "input_schema": object_schema(tool.schema),
            }
            for tool in prompt.tools
        ]
    return wanted


def _thinking(prompt: Prompt, question: int) -> Thinking:
    """With a budget, a model can not begin to think between a call and its result."""
    after = (turn for turn in prompt.turns[question + 1 :] if isinstance(turn, AssistantTurn))
    first = next(after, None)
    has_not_thought = first is not None and not first.thoughts
    return "auto" if prompt.thinking == "budget" and has_not_thought else prompt.thinking


def _message(turn: Turn, *, is_new: bool) -> dict[str, Any]:
    """Thoughts go back while the answer that they belong to goes on; after that nobody wants them."""
    if isinstance(turn, ToolTurn):
        return {"role": "user", "content": [_result(result) for result in turn.results]}
    if isinstance(turn, AssistantTurn):
        calls = [
            {"type": "tool_use", "id": call.id, "name": call.name, "input": _object(call.input)}
            for call in turn.calls
        ]
        thoughts = [_thought(thought) for thought in turn.thoughts] if is_new else []
        return {"role": "assistant", "content": [*thoughts, *_text(turn.text), *calls] or "…"}
    pictures = [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": image.media_type, "data": image.data},
        }
        for image in turn.images
    ]
    return {"role": "user", "content": [*pictures, *_text(turn.text)] or "…"}


def _result(result: ToolResult) -> dict[str, Any]:
    return {
        "type": "tool_result",
        "tool_use_id": result.call_id,
        "content": result.text,
        "is_error": result.is_error,
    }


def _thought(thought: Thought) -> dict[str, Any]:
    if thought.redacted:
        return {"type": "redacted_thinking", "data": thought.redacted}
    return {"type": "thinking", "thinking": thought.text, "signature": thought.signature}


def _text(text: str) -> list[dict[str, Any]]:
    """A text of blanks alone is refused there."""
    return [{"type": "text", "text": text}] if text.strip() else []


def _object(value: Any) -> Any:
    return value if isinstance(value, dict) else {}


@attrs.define
class _Partial:
    place: int
    name: str
    pieces: list[str] = attrs.field(factory=list)


@attrs.define
class AnthropicReader:
    _events: Events = attrs.field(factory=lambda: Events(LONGEST_EVENT))
    _calls: dict[int, _Partial] = attrs.field(factory=dict)
    _reason: str | None = None
    _input_tokens: int | None = None
    _output_tokens: int | None = None
    _is_over: bool = False

    def feed(self, chunk: bytes) -> list[ModelEvent]:
        try:
            texts = self._events.feed(chunk)
        except LongLineError:
            self._is_over = True
            return [Failed("The model server sent an event without an end")]
        return [event for text in texts for event in self._read(text)]

    def end(self) -> list[ModelEvent]:
        return [] if self._is_over else [Failed(BROKEN_OFF)]

    def _read(self, text: bytes) -> list[ModelEvent]:
        try:
            event = _decoder.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return []
        if self._is_over:
            return []
        if event.type == "error":
            self._is_over = True
            return [Failed(error_text(200, text))]
        match event.type:
            case "content_block_start" if event.content_block.type == "tool_use":
                return self._begin(event.index, event.content_block.name)
            case "content_block_start" if event.content_block.type == "redacted_thinking":
                return [ThoughtEnded(redacted=event.content_block.data)]
            case "content_block_start" if event.content_block.text:
                return [TextDelta(event.content_block.text)]
            case "content_block_delta":
                return self._delta(event.index, event.delta)
            case "content_block_stop" if event.index in self._calls:
                call = self._calls[event.index]
                return [CallReady(call.place, call.name, tool_input("".join(call.pieces)))]
            case "message_start":
                self._count(event.message.usage)
            case "message_delta":
                self._reason = event.delta.stop_reason or self._reason
                self._count(event.usage)
            case "message_stop":
                self._is_over = True
                reason = REASONS.get(self._reason or "end_turn", self._reason or "stop")
                return [Finished(reason, self._input_tokens, self._output_tokens)]
        return []

    def _begin(self, index: int, name: str) -> list[ModelEvent]:
        call = self._calls[index] = _Partial(len(self._calls), name)
        return [CallBegun(call.place, name)]

    def _delta(self, index: int, delta: _Delta) -> list[ModelEvent]:
        if delta.text:
            return [TextDelta(delta.text)]
        if delta.thinking:
            return [ReasoningDelta(delta.thinking)]
        if delta.signature:
            return [ThoughtEnded(delta.signature)]
        call = self._calls.get(index)
        if delta.partial_json and call is not None:
            call.pieces.append(delta.partial_json)
            return [CallDelta(call.place, delta.partial_json)]
        return []

    def _count(self, usage: _Usage) -> None:
        if usage.input_tokens is not None:
            self._input_tokens = usage.input_tokens
        if usage.output_tokens is not None:
            self._output_tokens = usage.output_tokens


DIALECT = Dialect(path="/v1/messages", body=body, reader=AnthropicReader)

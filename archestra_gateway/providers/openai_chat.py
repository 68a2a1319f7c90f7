"""OpenAI's chat completions, and the many servers that speak them nearly so. Pure."""

from typing import Any

import attrs
import msgspec

from archestra_gateway.protocol.lines import LongLineError
from archestra_gateway.protocol.plain_json import decoded
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
    ToolTurn,
    Turn,
)
from archestra_gateway.providers.dialect import (
    BROKEN_OFF,
    LONGEST_EVENT,
    Dialect,
    error_text,
    tool_input,
)
from archestra_gateway.providers.ollama_chat import function

REASONS = {"tool_calls": "tool-calls", "function_call": "tool-calls", "content_filter": "content-filter"}


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: Any = None


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function = msgspec.field(default_factory=_Function)


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = msgspec.field(default_factory=list)
    usage: _Usage | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Chunk)


def body(prompt: Prompt) -> dict[str, Any]:
    system = [{"role": "system", "content": prompt.system}] if prompt.system else []
    wanted: dict[str, Any] = {
        "model": prompt.model,
        "messages": [*system, *(message for turn in prompt.turns for message in _messages(turn))],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if prompt.tools:
        wanted["tools"] = [function(tool) for tool in prompt.tools]
    return wanted


def _messages(turn: Turn) -> list[dict[str, Any]]:
    if isinstance(turn, ToolTurn):
        return [
            {"role": "tool", "tool_call_id": result.call_id, "content": result.text}
            for result in turn.results
        ]
    if isinstance(turn, AssistantTurn):
        message: dict[str, Any] = {"role": "assistant", "content": turn.text or None}
        if turn.calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": msgspec.json.encode(call.input).decode()},
                }
                for call in turn.calls
            ]
        return [message]
    if not turn.images:
        return [{"role": "user", "content": turn.text}]
    pictures = [
        {"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{image.data}"}}
        for image in turn.images
    ]
    text = [{"type": "text", "text": turn.text}] if turn.text else []
    return [{"role": "user", "content": [*text, *pictures]}]


@attrs.define
class _Partial:
    name: str
    id: str | None
    pieces: list[str] = attrs.field(factory=list)


@attrs.define
class OpenAiReader:
    """Calls come in pieces by `index`; servers that leave it out begin a new call with a name or a new id."""

    _events: Events = attrs.field(factory=lambda: Events(LONGEST_EVENT))
    _calls: list[_Partial] = attrs.field(factory=list)
    _by_index: dict[int, int] = attrs.field(factory=dict)
    _reason: str | None = None
    _usage: _Usage | None = None
    _is_over: bool = False

    def feed(self, chunk: bytes) -> list[ModelEvent]:
        try:
            texts = self._events.feed(chunk)
        except LongLineError:
            self._is_over = True
            return [Failed("The model server sent an event without an end")]
        return [event for text in texts for event in self._read(text)]

    def end(self) -> list[ModelEvent]:
        if self._is_over:
            return []
        return [Failed(BROKEN_OFF)] if self._reason is None else self._finish()

    def _read(self, text: bytes) -> list[ModelEvent]:
        if self._is_over:
            return []
        if text.strip() == b"[DONE]":
            return self._finish()
        chunk = _parsed(text)
        if chunk is None:
            return []
        if chunk.error is not None:
            self._is_over = True
            return [Failed(error_text(200, text))]
        self._usage = chunk.usage or self._usage
        return [event for choice in chunk.choices[:1] for event in self._choose(choice)]

    def _choose(self, choice: _Choice) -> list[ModelEvent]:
        events: list[ModelEvent] = []
        if choice.delta is not None:
            reasoning = choice.delta.reasoning_content or choice.delta.reasoning
            if isinstance(reasoning, str) and reasoning:
                events.append(ReasoningDelta(reasoning))
            if choice.delta.content:
                events.append(TextDelta(choice.delta.content))
            for call in choice.delta.tool_calls or ():
                events += self._call(call)
        self._reason = choice.finish_reason or self._reason
        return events

    def _call(self, call: _Call) -> list[ModelEvent]:
        events: list[ModelEvent] = []
        place = self._place(call)
        if place is None:
            place = len(self._calls)
            self._calls.append(_Partial(call.function.name or "", call.id))
            events.append(CallBegun(place, call.function.name or ""))
        if call.index is not None:
            self._by_index[call.index] = place
        given = call.function.arguments
        piece = (
            given if isinstance(given, str) else "" if given is None else msgspec.json.encode(given).decode()
        )
        if piece:
            self._calls[place].pieces.append(piece)
            events.append(CallDelta(place, piece))
        return events

    def _place(self, call: _Call) -> int | None:
        """Which of the calls so far goes on; None for a new one."""
        place = len(self._calls) - 1 if call.index is None else self._by_index.get(call.index, -1)
        if place < 0:
            return None
        known = self._calls[place]
        is_new = call.id not in (None, "", known.id) and bool(call.function.name)
        return None if is_new or (call.index is None and call.function.name) else place

    def _finish(self) -> list[ModelEvent]:
        self._is_over = True
        ready: list[ModelEvent] = [
            CallReady(place, call.name, tool_input("".join(call.pieces)))
            for place, call in enumerate(self._calls)
        ]
        reason = "tool-calls" if ready else REASONS.get(self._reason or "stop", self._reason or "stop")
        usage = self._usage or _Usage()
        return [*ready, Finished(reason, usage.prompt_tokens, usage.completion_tokens)]


def _parsed(text: bytes) -> _Chunk | None:
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return msgspec.convert(decoded(text), _Chunk)
    except msgspec.ValidationError:
        return None


DIALECT = Dialect(path="/v1/chat/completions", body=body, reader=OpenAiReader)

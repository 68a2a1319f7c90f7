"""Ollama's native chat: NDJSON, whole tool calls in any line, the usage in the last one. Pure."""

import re
from typing import Any

import attrs
import msgspec

from archestra_gateway.protocol.lines import Lines, LongLineError
from archestra_gateway.protocol.plain_json import decoded
from archestra_gateway.providers.conversation import (
    AssistantTurn,
    CallBegun,
    CallReady,
    Failed,
    Finished,
    ModelEvent,
    Prompt,
    ReasoningDelta,
    TextDelta,
    Tool,
    ToolTurn,
    Turn,
)
from archestra_gateway.providers.dialect import (
    BROKEN_OFF,
    LONGEST_EVENT,
    Dialect,
    object_schema,
    tool_input,
)

NUM_CTX = re.compile(r"^num_ctx\s+([0-9]{1,9})\s*$", re.MULTILINE)


class _Function(msgspec.Struct):
    name: str = ""
    arguments: Any = None


class _Call(msgspec.Struct):
    function: _Function = msgspec.field(default_factory=_Function)


class _Message(msgspec.Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class _Line(msgspec.Struct):
    message: _Message | None = None
    error: Any = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None


_decoder = msgspec.json.Decoder(_Line)


def body(prompt: Prompt) -> dict[str, Any]:
    system = [{"role": "system", "content": prompt.system}] if prompt.system else []
    wanted: dict[str, Any] = {
        "model": prompt.model,
        "messages": [*system, *(message for turn in prompt.turns for message in _messages(turn))],
        "stream": True,
    }
    if prompt.tools:
        wanted["tools"] = [function(tool) for tool in prompt.tools]
    options = {"num_ctx": prompt.context} if prompt.context else {}
    if prompt.thinking != "auto":
        wanted["think"] = prompt.thinking == "on"
    if prompt.is_brief:
        wanted["think"] = False
        options["num_predict"] = 32
    return {**wanted, "options": options} if options else wanted


def function(tool: Tool) -> dict[str, Any]:
    """OpenAI's form of a tool, which Ollama shares."""
    described = {"name": tool.name, "description": tool.description, "parameters": object_schema(tool.schema)}
    return {"type": "function", "function": described}


def _messages(turn: Turn) -> list[dict[str, Any]]:
    if isinstance(turn, ToolTurn):
        return [
            {"role": "tool", "content": result.text, "tool_name": result.name, "tool_call_id": result.call_id}
            for result in turn.results
        ]
    if isinstance(turn, AssistantTurn):
        message: dict[str, Any] = {"role": "assistant", "content": turn.text}
        if turn.reasoning:
            message["thinking"] = turn.reasoning
        if turn.calls:
            message["tool_calls"] = [
                {"id": call.id, "function": {"name": call.name, "arguments": _object(call.input)}}
                for call in turn.calls
            ]
        return [message]
    images = {"images": [image.data for image in turn.images]} if turn.images else {}
    return [{"role": "user", "content": turn.text, **images}]


def _object(value: Any) -> Any:
    """Anything else is refused there."""
    return value if isinstance(value, dict) else {}


@attrs.define
class OllamaReader:
    """A line that is not JSON is passed over: what follows it is still good."""

    _lines: Lines = attrs.field(factory=lambda: Lines(LONGEST_EVENT))
    _calls: int = 0
    _is_over: bool = False

    def feed(self, chunk: bytes) -> list[ModelEvent]:
        try:
            lines = self._lines.feed(chunk)
        except LongLineError:
            self._is_over = True
            return [Failed("The model server sent a line without an end")]
        return [event for line in lines if line for event in self._events(line)]

    def end(self) -> list[ModelEvent]:
        events = self._events(rest) if (rest := self._lines.rest()) else []
        return events if self._is_over else [*events, Failed(BROKEN_OFF)]

    def _events(self, text: bytes) -> list[ModelEvent]:
        line = _parsed(text)
        if line is None or self._is_over:
            return []
        if line.error is not None:
            self._is_over = True
            return [Failed(str(line.error))]
        events: list[ModelEvent] = []
        if line.message is not None:
            events = self._said(line.message)
        if line.done:
            self._is_over = True
            reason = "tool-calls" if self._calls else line.done_reason or "stop"
            events.append(Finished(reason, line.prompt_eval_count, line.eval_count))
        return events

    def _said(self, message: _Message) -> list[ModelEvent]:
        events: list[ModelEvent] = []
        if message.thinking:
            events.append(ReasoningDelta(message.thinking))
        if message.content:
            events.append(TextDelta(message.content))
        for call in message.tool_calls or ():
            name, given = call.function.name, call.function.arguments
            value = tool_input(given) if isinstance(given, str) else given
            events += [CallBegun(self._calls, name), CallReady(self._calls, name, value or {})]
            self._calls += 1
        return events


def _parsed(text: bytes) -> _Line | None:
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return msgspec.convert(decoded(text), _Line)
    except msgspec.ValidationError:
        return None


def context(shown: Any) -> int | None:
    """What `/api/show` says of a model's context: as its Modelfile sets it, or all that it can take."""
    if not isinstance(shown, dict):
        return None
    if found := NUM_CTX.search(str(shown.get("parameters") or "")):
        return int(found[1])
    info = shown.get("model_info")
    lengths = [
        value
        for key, value in (info.items() if isinstance(info, dict) else ())
        if key.endswith(".context_length") and isinstance(value, int) and value > 0
    ]
    return lengths[0] if lengths else None


DIALECT = Dialect(
    path="/api/chat",
    body=body,
    reader=OllamaReader,
    models_path="/api/tags",
    show_path="/api/show",
    context=context,
    no_model="Ollama has no model yet. Fetch one, for instance with `ollama pull llama3.2`",
)

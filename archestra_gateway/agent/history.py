"""From the UI messages that a client posts to the turns that a model is told. Pure."""

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

import attrs

from archestra_gateway.agent.outcome import Outcome, cut, read_output
from archestra_gateway.agent.thought import read as read_thought
from archestra_gateway.errors import ValidationFailed
from archestra_gateway.providers.conversation import (
    AssistantTurn,
    Image,
    ToolCall,
    ToolResult,
    ToolTurn,
    Turn,
    UserTurn,
)

NO_RESULT = "There is no result: the call was not carried out"
GO_ON = "Go on exactly where your last answer stopped."
ROLES = ("user", "assistant", "system")

Message = dict[str, Any]


def checked(messages: list[Any], new_id: Any) -> list[Message]:
    """The messages with an id and parts each. Raises ValidationFailed that names the place."""
    if not messages:
        raise _wrong("`messages` must not be empty")
    return [_checked(place, message, new_id) for place, message in enumerate(messages)]


def _checked(place: int, message: Any, new_id: Any) -> Message:
    where = f"messages[{place}]"
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        raise _wrong(f"`{where}.role` must be 'user', 'assistant' or 'system'")
    content = message.get("content")
    if "parts" not in message and isinstance(content, str):
        message = {**message, "parts": [{"type": "text", "text": content}]}
        del message["content"]
    parts = message.get("parts")
    if not isinstance(parts, list) or not all(
        isinstance(part, dict) and isinstance(part.get("type"), str) for part in parts
    ):
        raise _wrong(f"`{where}.parts` must be a list of objects with a `type` each")
    if not isinstance(message.get("id"), str) or not message["id"]:
        message = {**message, "id": new_id()}
    return dict(message)


def _wrong(sentence: str) -> ValidationFailed:
    return ValidationFailed("The messages do not fit", fields=[sentence])


@attrs.frozen
class History:
    """`limit` is the most characters of one tool result that a model gets."""

    limit: int

    def turns(self, messages: list[Message]) -> tuple[Turn, ...]:
        """The conversation without system messages; a last answer that broke off is to be gone on with."""
        turns = [turn for message in messages for turn in self._turns(message)]
        if turns and isinstance(turns[-1], AssistantTurn):
            turns.append(UserTurn(GO_ON))
        return tuple(turns)

    def _turns(self, message: Message) -> Iterator[Turn]:
        if message["role"] == "user":
            yield self._user(message["parts"])
        elif message["role"] == "assistant":
            for step in _steps(message["parts"]):
                yield from self._step(step)

    def _user(self, parts: list[dict[str, Any]]) -> UserTurn:
        texts, images = [], []
        for part in parts:
            if part["type"] == "text":
                texts.append(str(part.get("text", "")))
            elif part["type"] == "file":
                shown = self._file(part)
                if isinstance(shown, Image):
                    images.append(shown)
                else:
                    texts.append(shown)
        return UserTurn("\n\n".join(texts), tuple(images))

    def _file(self, part: dict[str, Any]) -> Image | str:
        media_type = str(part.get("mediaType") or "")
        name = str(part.get("filename") or "file")
        data = _data(str(part.get("url") or ""))
        if data is None:
            return f"[The file {name} is not here: files are sent as data URLs]"
        if media_type.startswith("image/"):
            return Image(media_type, base64.b64encode(data).decode())
        if media_type.startswith("text/") or media_type == "application/json":
            return f"The file {name}:\n{cut(data.decode('utf-8', 'replace'), self.limit)}"
        return f"[The file {name} ({media_type or 'of unknown type'}) can not be shown to the model]"

    def _step(self, parts: list[dict[str, Any]]) -> Iterator[Turn]:
        text = "".join(str(part.get("text", "")) for part in parts if part["type"] == "text")
        tools = [part for part in parts if is_tool(part) and "toolCallId" in part]
        calls = tuple(
            ToolCall(part["toolCallId"], tool_name(part), _input(part.get("input"))) for part in tools
        )
        thoughts = [read_thought(part) for part in parts if part["type"] == "reasoning"]
        if text or calls:
            sealed = tuple(thought for thought in thoughts if thought is not None)
            yield AssistantTurn(text, calls=calls, thoughts=sealed)
        if calls:
            yield ToolTurn(tuple(self._result(part) for part in tools))

    def _result(self, part: dict[str, Any]) -> ToolResult:
        state = part.get("state")
        if state == "output-available":
            outcome = read_output(part.get("output"), self.limit)
        else:
            outcome = Outcome(None, str(part.get("errorText") or NO_RESULT), is_error=True)
        return ToolResult(part["toolCallId"], tool_name(part), outcome.text, outcome.is_error)


def system_text(messages: list[Message]) -> str:
    """What the client's own system messages say."""
    texts = [
        str(part.get("text", ""))
        for message in messages
        if message["role"] == "system"
        for part in message["parts"]
        if part["type"] == "text"
    ]
    return "\n\n".join(texts)


def is_tool(part: dict[str, Any]) -> bool:
    return str(part["type"]).startswith(("dynamic-tool", "tool-"))


def tool_name(part: dict[str, Any]) -> str:
    if part["type"] == "dynamic-tool":
        return str(part.get("toolName", ""))
    return str(part["type"].removeprefix("tool-"))


def text_of(message: Message) -> str:
    """What people read of it."""
    return "\n".join(str(part.get("text", "")) for part in message["parts"] if part["type"] == "text")


def _steps(parts: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    step: list[dict[str, Any]] = []
    for part in parts:
        if part["type"] == "step-start":
            yield step
            step = []
        else:
            step.append(part)
    yield step


def _input(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return {}
    return {} if value is None else value


def _data(url: str) -> bytes | None:
    """The bytes of a data URL (RFC 2397)."""
    head, comma, body = url.partition(",")
    if not head.startswith("data:") or not comma:
        return None
    if not head.endswith(";base64"):
        return unquote_to_bytes(body)
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4))
    except (binascii.Error, ValueError):
        return None

"""How one kind of provider is asked for a chat's next answer, and how its stream is read."""

import re
from collections.abc import Callable
from typing import Any, Protocol

import attrs
import msgspec

from archestra_gateway.protocol.plain_json import decoded
from archestra_gateway.providers.conversation import ModelEvent, Prompt

LONGEST_EVENT = 16 * 1024 * 1024
BROKEN_OFF = "The model's answer broke off before its end"

NO_TOOLS = re.compile(
    r"(does not|doesn't|not) support (tools|tool use|tool calling|function)"
    r"|tool\w* (use |calling )?(is|are) not supported",
    re.IGNORECASE,
)

NO_THINKING = re.compile(r"think.{0,80}not support|not support.{0,80}think", re.IGNORECASE | re.DOTALL)


class Reader(Protocol):
    """Bytes of one streamed answer in, events out."""

    def feed(self, chunk: bytes) -> list[ModelEvent]: ...

    def end(self) -> list[ModelEvent]:
        """What the end of the bytes means: Failed where the answer is not complete."""


@attrs.frozen
class Dialect:
    """`path`, `models_path` and `show_path` are below the provider's base URL.

    The second lists what is there, the third tells about one model, of which `context` reads its length.
    """

    path: str
    body: Callable[[Prompt], dict[str, Any]]
    reader: Callable[[], Reader]
    models_path: str | None = None
    show_path: str | None = None
    context: Callable[[Any], int | None] = lambda shown: None
    no_model: str = "Say which model: `model` in the request, or the setting agent.model"

    def encode(self, prompt: Prompt) -> bytes:
        return msgspec.json.encode(self.body(prompt))


def error_text(status: int, body: bytes) -> str:
    """What a provider's error says to people."""
    found = decoded(body)
    error = found.get("error", found) if isinstance(found, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    if isinstance(message, str) and message.strip():
        return message.strip()
    return body.decode("utf-8", "replace").strip()[:500] or f"status {status}, without a word"


def refuses_tools(status: int, message: str) -> bool:
    """The model can only be asked without tools."""
    return 400 <= status < 500 and NO_TOOLS.search(message) is not None


def refuses_thinking(status: int, message: str) -> bool:
    """The model can not be told how to think in this way."""
    return 400 <= status < 500 and NO_THINKING.search(message) is not None


def tool_input(text: str) -> Any:
    """A call's input out of its JSON text: models leave out `{}`, and may write what is not JSON."""
    if not text.strip():
        return {}
    found = decoded(text)
    return text if found is None else found


def object_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Some servers insist on `properties`."""
    return {"type": "object", "properties": {}, **schema}

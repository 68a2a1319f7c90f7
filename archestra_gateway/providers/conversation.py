"""What is said to a model and what comes back, in words that belong to no provider."""

from typing import Any, Literal

import attrs

Thinking = Literal["auto", "on", "budget", "off"]
"""What a model is asked for; `budget` is how older models of Anthropic have it."""


@attrs.frozen
class Image:
    """`data` is base64."""

    media_type: str
    data: str = attrs.field(repr=False)


@attrs.frozen
class ToolCall:
    id: str
    name: str
    input: Any


@attrs.frozen
class ToolResult:
    call_id: str
    name: str
    text: str
    is_error: bool = False


@attrs.frozen
class UserTurn:
    text: str
    images: tuple[Image, ...] = ()


@attrs.frozen
class Thought:
    """Thinking that its provider wants to see again beside a tool's result, signed or sealed by it."""

    text: str = ""
    signature: str = ""
    redacted: str = ""


@attrs.frozen
class AssistantTurn:
    text: str
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    thoughts: tuple[Thought, ...] = ()


@attrs.frozen
class ToolTurn:
    """The results of the calls of the turn before."""

    results: tuple[ToolResult, ...]


Turn = UserTurn | AssistantTurn | ToolTurn


@attrs.frozen
class Tool:
    """As a model sees it; `schema` is the JSON Schema of its input."""

    name: str
    description: str
    schema: dict[str, Any]


@attrs.frozen
class Prompt:
    """One model call. `is_brief` asks for a few words without thinking first.

    `context` is how many tokens the model is to be loaded with; 0 leaves that to the provider.
    """

    model: str
    system: str
    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    is_brief: bool = False
    context: int = 0
    thinking: Thinking = "auto"


@attrs.frozen
class TextDelta:
    text: str


@attrs.frozen
class ReasoningDelta:
    text: str


@attrs.frozen
class ThoughtEnded:
    """With its signature, or with all that there is of one that nobody may read."""

    signature: str = ""
    redacted: str = ""


@attrs.frozen
class CallBegun:
    """`index` tells the calls of one answer apart."""

    index: int
    name: str


@attrs.frozen
class CallDelta:
    """A piece of the JSON text of a call's input."""

    index: int
    text: str


@attrs.frozen
class CallReady:
    """The whole input; text where it is no JSON."""

    index: int
    name: str
    input: Any


@attrs.frozen
class Finished:
    """The answer is complete; `reason` is `stop`, `length`, `tool-calls` or the provider's own word."""

    reason: str
    input_tokens: int | None = None
    output_tokens: int | None = None


@attrs.frozen
class Failed:
    """The provider broke the answer off; nothing comes after it."""

    message: str


ModelEvent = TextDelta | ReasoningDelta | ThoughtEnded | CallBegun | CallDelta | CallReady | Finished | Failed

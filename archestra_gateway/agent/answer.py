"""One answer of a model, told as chunks while it comes and collected for the next step. Pure."""

import attrs

from archestra_gateway.agent.speaker import Speaker
from archestra_gateway.agent.thought import seal
from archestra_gateway.agent.tools import Offered, resolve
from archestra_gateway.agent.written import ThinkTags, WrittenCalls
from archestra_gateway.errors import UpstreamError
from archestra_gateway.providers.conversation import (
    AssistantTurn,
    CallBegun,
    CallDelta,
    CallReady,
    Failed,
    Finished,
    ModelEvent,
    ReasoningDelta,
    TextDelta,
    Thought,
    ThoughtEnded,
    ToolCall,
)


def names_of(tools: dict[str, Offered]) -> frozenset[str]:
    """What a call that is written as text may be named: the whole name, or the tool's own."""
    return frozenset(name for tool in tools.values() for name in (tool.tool.name, tool.tool_name) if name)


@attrs.define
class Answer:
    """`hear` every event, then `end`; raises UpstreamError when the provider broke off."""

    speaker: Speaker
    tools: dict[str, Offered]
    calls: list[ToolCall] = attrs.field(factory=list)
    reason: str = "stop"
    input_tokens: int = 0
    output_tokens: int = 0
    _texts: list[str] = attrs.field(factory=list)
    _reasoning: list[str] = attrs.field(factory=list)
    _thought: list[str] = attrs.field(factory=list)
    _sealed: list[Thought] = attrs.field(factory=list)
    _begun: dict[int, str] = attrs.field(factory=dict)
    _thoughts: ThinkTags = attrs.field(factory=ThinkTags)
    _written: WrittenCalls = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._written = WrittenCalls(names_of(self.tools))

    @property
    def turn(self) -> AssistantTurn:
        return AssistantTurn(
            "".join(self._texts), "".join(self._reasoning), tuple(self.calls), tuple(self._sealed)
        )

    def hear(self, event: ModelEvent) -> None:
        match event:
            case TextDelta(text):
                reasoning, text = self._thoughts.feed(text)
                self._think(reasoning)
                self._say(self._written.feed(text) if text else "")
            case ReasoningDelta(text):
                self._think(text)
                self._thought.append(text)
            case ThoughtEnded(signature, redacted):
                self._seal(Thought("".join(self._thought), signature, redacted))
            case CallBegun(index, name):
                self._begin(index, name)
            case CallDelta(index, text):
                self.speaker.call_input(self._begun[index], text)
            case CallReady(index, name, value):
                self._ready(self._begun[index], name, value)
            case Finished(reason, input_tokens, output_tokens):
                self.reason = reason
                self.input_tokens += input_tokens or 0
                self.output_tokens += output_tokens or 0
            case Failed(message):
                raise UpstreamError(message)

    def end(self) -> None:
        """What was held back becomes calls or text."""
        rest = self._thoughts.rest()
        self._say(self._written.feed(rest) if rest else "")
        calls, text = self._written.end()
        self._say(text)
        for place, (name, value) in enumerate(calls):
            self._begin(-1 - place, name)
            self._ready(self._begun[-1 - place], name, value)
        self.speaker.end_part()

    def _say(self, text: str) -> None:
        if text:
            self._texts.append(text)
            self.speaker.text(text)

    def _think(self, text: str) -> None:
        if text:
            self._reasoning.append(text)
            self.speaker.reasoning(text)

    def _seal(self, thought: Thought) -> None:
        self._thought.clear()
        self._sealed.append(thought)
        self.speaker.seal(seal(thought))

    def _begin(self, index: int, name: str) -> None:
        tool = resolve(self.tools, name)
        self._begun[index] = self.speaker.begin_call(
            tool.tool.name if tool else name, is_ours=tool is None or tool.is_ours
        )

    def _ready(self, call: str, name: str, value: object) -> None:
        tool = resolve(self.tools, name)
        name = tool.tool.name if tool else name
        self.calls.append(ToolCall(call, name, value))
        self.speaker.call_is_ready(call, name, value, is_ours=tool is None or tool.is_ours)

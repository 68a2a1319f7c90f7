"""Model → tool calls → results → model, until there is an answer. The outside comes in as `Ports`."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, Literal

import attrs

from archestra_gateway.agent.answer import Answer
from archestra_gateway.agent.context import Context
from archestra_gateway.agent.outcome import Outcome, failed
from archestra_gateway.agent.repeats import Repeats, told
from archestra_gateway.agent.speaker import Speaker
from archestra_gateway.agent.tools import Offered
from archestra_gateway.errors import UpstreamError
from archestra_gateway.providers.conversation import (
    ModelEvent,
    Prompt,
    Thinking,
    ToolCall,
    ToolResult,
    ToolTurn,
)

NO_TOOLS = "The model {model} can not use tools, so it answers without them"
NO_THINKING = "The model {model} can not be told whether to think, so it answers as it does by itself"
TOO_MANY_STEPS = "The answer ends here: it took {steps} steps, which is the most that agent.max_steps allows"
HOPELESS = "The answer ends here: the model makes the same call again and again"


class ToolsRefused(UpstreamError):
    """The model can be asked without tools only; nothing of an answer has come."""


class ThinkingRefused(UpstreamError):
    """The model can be asked with `instead` only; nothing of an answer has come."""

    def __init__(self, message: str, instead: Thinking) -> None:
        super().__init__(message)
        self.instead: Thinking = instead


@attrs.frozen
class Permit:
    """`pending`: a person answers later, when this run is over."""

    verdict: Literal["allow", "deny", "pending"]
    reason: str = ""


@attrs.frozen
class Ports:
    ask_model: Callable[[Prompt], AsyncGenerator[Sequence[ModelEvent], None]]
    permit: Callable[[Offered, ToolCall], Awaitable[Permit]]
    call_tool: Callable[[Offered, ToolCall], Awaitable[Outcome]]


@attrs.define
class Numbers:
    """What a run took, for the metadata of its message."""

    started: float = attrs.field(factory=time.monotonic)
    first: float | None = None
    steps: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    model_seconds: float = 0.0
    tool_seconds: float = 0.0

    def add(self, answer: Answer) -> None:
        self.input_tokens += answer.input_tokens
        self.output_tokens += answer.output_tokens

    def shown(self) -> dict[str, Any]:
        now = time.monotonic()
        timings = {
            "duration_ms": _milliseconds(now - self.started),
            "model_ms": _milliseconds(self.model_seconds),
            "tool_ms": _milliseconds(self.tool_seconds),
        }
        if self.first is not None:
            timings["first_token_ms"] = _milliseconds(self.first - self.started)
        total = self.input_tokens + self.output_tokens
        usage = {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "total_tokens": total,
        }
        return {"steps": self.steps, "usage": usage, "timings": timings}


@attrs.define
class Loop:
    """`run` gives the reason why it ended."""

    speaker: Speaker
    ports: Ports
    prompt: Prompt
    tools: dict[str, Offered]
    max_steps: int
    context: Context = attrs.field(factory=Context)
    numbers: Numbers = attrs.field(factory=Numbers)
    _repeats: Repeats = attrs.field(factory=Repeats)

    async def run(self) -> str:
        for _ in range(self.max_steps):
            self.numbers.steps += 1
            self.speaker.begin_step()
            answer = await self._ask()
            if not answer.calls:
                self.speaker.end_step()
                return answer.reason
            pending = await self._carry_out(answer)
            self.speaker.end_step()
            if pending:
                return pending
            if self._repeats.is_hopeless:
                self.speaker.notice(HOPELESS)
                return "repeated-call"
        self.speaker.notice(TOO_MANY_STEPS.format(steps=self.max_steps))
        return "step-limit"

    async def _ask(self) -> Answer:
        """As it was wanted, or as the model can."""
        while True:
            try:
                return await self._listen()
            except ToolsRefused:
                self.tools = {}
                self.speaker.notice(NO_TOOLS.format(model=self.prompt.model))
            except ThinkingRefused as refusal:
                self.prompt = attrs.evolve(self.prompt, thinking=refusal.instead)
                if refusal.instead == "auto":
                    self.speaker.notice(NO_THINKING.format(model=self.prompt.model))

    async def _listen(self) -> Answer:
        prompt = self._fitting()
        answer = Answer(self.speaker, self.tools)
        since = time.monotonic()
        try:
            async with aclosing(self.ports.ask_model(prompt)) as stream:
                async for events in stream:
                    if self.numbers.first is None and events:
                        self.numbers.first = time.monotonic()
                    for event in events:
                        answer.hear(event)
        finally:
            self.numbers.model_seconds += time.monotonic() - since
        answer.end()
        self.numbers.add(answer)
        return answer

    def _fitting(self) -> Prompt:
        """The prompt of this step; what it had to do without is told when it is more than before."""
        before = self.context.left_out
        tools = tuple(tool.tool for tool in self.tools.values())
        prompt = self.context.fit(attrs.evolve(self.prompt, tools=tools))
        if self.context.left_out > before:
            self.speaker.notice(self.context.told(prompt.model), part="context")
        return prompt

    async def _carry_out(self, answer: Answer) -> str:
        """All calls of a step side by side; the reason why it ends here, if it does."""
        since = time.monotonic()
        results = await _together([self._result(call) for call in answer.calls])
        self.numbers.tool_seconds += time.monotonic() - since
        done = tuple(result for result in results if isinstance(result, ToolResult))
        if len(done) < len(results):
            return "approval" if "approval" in results else "tool-calls"
        turns = (*self.prompt.turns, answer.turn, ToolTurn(done))
        self.prompt = attrs.evolve(self.prompt, turns=turns)
        return ""

    async def _result(self, call: ToolCall) -> ToolResult | str:
        """The result, or for whom it is left: `client` or `approval`."""
        tool = self.tools.get(call.name)
        if tool is not None and not tool.is_ours:
            self.speaker.leave_call(call.id)
            return "client"
        outcome = self._refusal(call, tool)
        if outcome is None and tool is not None:
            permit = await self.ports.permit(tool, call)
            if permit.verdict == "pending":
                self.speaker.leave_call(call.id)
                return "approval"
            outcome = await self._outcome(call, tool, permit)
            self._repeats.saw(call.name, call.input, outcome.text)
        assert outcome is not None  # noqa: S101 - a call without a tool is refused
        self._tell(call, outcome)
        return ToolResult(call.id, call.name, outcome.text, outcome.is_error)

    def _refusal(self, call: ToolCall, tool: Offered | None) -> Outcome | None:
        """A call that is not even tried."""
        if tool is None:
            known = ", ".join(sorted(self.tools)) or "none"
            return failed(f"There is no tool named {call.name!r}. The tools are: {known}")
        if not isinstance(call.input, dict):
            return failed(f"The input of {call.name} must be a JSON object")
        if self._repeats.is_due(call.name, call.input):
            return failed(told(call.name))
        return None

    async def _outcome(self, call: ToolCall, tool: Offered, permit: Permit) -> Outcome:
        if permit.verdict != "allow":
            return failed(permit.reason)
        return await self.ports.call_tool(tool, call)

    def _tell(self, call: ToolCall, outcome: Outcome) -> None:
        self.speaker.answer_call(call.id, outcome.output, outcome.text if outcome.is_error else None)


async def _together(work: Sequence[Any]) -> list[ToolResult | str]:
    """Side by side; when one of them breaks, or this is cancelled, none goes on alone."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except* Exception as errors:
        raise errors.exceptions[0] from errors
    return [task.result() for task in tasks]


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)

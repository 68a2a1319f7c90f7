"""The work of one run: which tools and which model, the calls that waited for a yes, then the loop."""

from typing import Any, cast

import attrs

from archestra_gateway.agent import chunks
from archestra_gateway.agent.context import Context
from archestra_gateway.agent.history import History, is_tool, system_text
from archestra_gateway.agent.loop import Loop, Numbers, Permit, Ports
from archestra_gateway.agent.speaker import Speaker
from archestra_gateway.agent.tools import Offered, client_tools, table, wanted_names
from archestra_gateway.config import AgentConfig
from archestra_gateway.providers.conversation import Prompt, Thinking, ToolCall
from archestra_gateway.schemas.agent import ChatRequest
from archestra_gateway.services.agent_approval import (
    CHANGED,
    DENIED,
    FORBIDDEN,
    TOO_LATE,
    Approvals,
    claimed,
)
from archestra_gateway.services.agent_log import Calls
from archestra_gateway.services.agent_model import Models
from archestra_gateway.services.agent_run import Run
from archestra_gateway.services.agent_tool import Toolbox
from archestra_gateway.services.llm_provider import Provider

FIRST_SDK_WITH_APPROVAL = 6


@attrs.define(eq=False)
class Job:
    """`answer` gives the reason why it ended; `numbers` and `model` are there for whatever end it has."""

    run: Run
    wanted: ChatRequest
    messages: list[dict[str, Any]]
    provider: Provider
    calls: Calls
    models: Models
    toolbox: Toolbox
    approvals: Approvals
    config: AgentConfig
    model: str = ""
    context: Context = attrs.field(factory=Context)
    numbers: Numbers = attrs.field(factory=Numbers)
    speaker: Speaker = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.speaker = Speaker(self.run.emit)

    async def answer(self) -> str:
        self.run.emit(
            chunks.start(
                self.run.message.id,
                {"chat_id": self.run.chat_id, "run_id": self.run.id, "provider": self.provider.name},
            )
        )
        if self.provider.kind.notice:
            self.speaker.notice(self.provider.kind.notice)
        self.model = await self.models.model(self.provider, self.wanted.model)
        self.context = Context(await self.models.context(self.provider, self.model))
        tools = await self._tools()
        await self._carry_out_held()
        loop = self._loop(tools)
        return await loop.run()

    def metadata(self, reason: str) -> dict[str, Any]:
        named = {"model": self.model} if self.model else {}
        return {**named, "finish_reason": reason, **self.numbers.shown()}

    async def _tools(self) -> dict[str, Offered]:
        if not self.provider.kind.takes_tools:
            return {}
        names = wanted_names(self.wanted.tools)
        own = client_tools(self.wanted.tools)
        found, problems = await self.toolbox.offered(names) if names else ([], [])
        for problem in problems:
            self.run.emit(chunks.data("notice", {"message": problem}, is_transient=True))
        return table([*own, *found])

    def _loop(self, tools: dict[str, Offered]) -> Loop:
        system = self.wanted.system if self.wanted.system is not None else self.config.system_prompt
        told = system_text(self.messages)
        prompt = Prompt(
            self.model,
            "\n\n".join(text for text in (system, told) if text),
            History(self._result_limit).turns(self._history()),
            context=self.config.context,
            thinking=self._thinking,
        )
        ports = Ports(
            lambda prompt: self.models.ask(self.provider, self.calls, prompt), self._permit, self._call
        )
        return Loop(self.speaker, ports, prompt, tools, self.config.max_steps, self.context, self.numbers)

    @property
    def _thinking(self) -> Thinking:
        if self.wanted.thinking is None:
            return cast(Thinking, self.config.thinking)
        return "on" if self.wanted.thinking else "off"

    @property
    def _result_limit(self) -> int:
        return self.context.result_limit(self.config.max_tool_result)

    def _history(self) -> list[dict[str, Any]]:
        """What was posted; a message that is gone on with as it is now."""
        if self.messages[-1]["id"] == self.run.message.id:
            return [*self.messages[:-1], self.run.message.shown()]
        return self.messages

    async def _permit(self, tool: Offered, call: ToolCall) -> Permit:
        decision = self.approvals.decision(tool, self.run.chat_id)
        if decision != "ask":
            return Permit(decision, FORBIDDEN)
        held = self.approvals.hold(self.run.chat_id, tool, call)
        if (self.wanted.sdk_version or 0) >= FIRST_SDK_WITH_APPROVAL:
            self.run.emit(chunks.tool_approval_request(held.id, call.id))
            return Permit("pending")
        self.run.emit(chunks.data("approval", held.part("pending"), part=held.id))
        state, permit = await self.approvals.wait(held)
        self.run.emit(chunks.data("approval", held.part(state), part=held.id))
        return await self._checked(tool, permit)

    async def _checked(self, tool: Offered, permit: Permit) -> Permit:
        """A yes is a yes to what was shown."""
        if permit.verdict == "allow" and not await self.toolbox.is_as_described(tool):
            return Permit("deny", CHANGED)
        return permit

    async def _call(self, tool: Offered, call: ToolCall) -> Any:
        def progress(params: Any) -> None:
            value = {"toolCallId": call.id, "progress": params}
            self.run.emit(chunks.data("tool-progress", value, is_transient=True))

        return await self.toolbox.call(tool, call, self.calls, progress, self._result_limit)

    async def _carry_out_held(self) -> None:
        """Calls of the message before, which the client has now answered for."""
        for part in list(self.run.message.parts):
            approval = part.get("approval")
            if not is_tool(part) or not isinstance(approval, dict):
                continue
            if part.get("state") == "approval-responded":
                await self._carry_out(str(part.get("toolCallId")), approval)

    async def _carry_out(self, call_id: str, approval: dict[str, Any]) -> None:
        """The call that is made is the one that was held, whatever the client posts."""
        held = self.approvals.claim(self.run.chat_id, str(approval.get("id")), call_id)
        if held is None:
            said_no = approval.get("approved") is not True
            self.speaker.answer_call(call_id, None, DENIED if said_no else TOO_LATE)
            return
        reason = approval.get("reason")
        permit = claimed(
            held,
            approved=approval.get("approved") is True,
            reason=reason if isinstance(reason, str) else None,
        )
        permit = await self._checked(held.tool, permit)
        if permit.verdict != "allow":
            self.speaker.answer_call(call_id, None, permit.reason)
            return
        outcome = await self._call(held.tool, held.call)
        self.speaker.answer_call(call_id, outcome.output, outcome.text if outcome.is_error else None)

"""Says things in the order in which clients can follow: what is opened is closed, and only once. Pure."""

import secrets
import string
from collections.abc import Callable
from typing import Any

import attrs

from archestra_gateway.agent import chunks
from archestra_gateway.agent.chunks import Chunk

LETTERS = string.ascii_letters + string.digits


def new_call_id() -> str:
    """Nine letters and digits, which is what the strictest provider takes."""
    return "".join(secrets.choice(LETTERS) for _ in range(9))


@attrs.define
class Speaker:
    emit: Callable[[Chunk], None]
    _open: tuple[str, str] | None = None
    _parts: int = 0
    _is_in_step: bool = False
    _unanswered: dict[str, bool] = attrs.field(factory=dict)

    def begin_step(self) -> None:
        self.end_step()
        self._is_in_step = True
        self.emit(chunks.START_STEP)

    def end_step(self) -> None:
        self.end_part()
        if self._is_in_step:
            self._is_in_step = False
            self.emit(chunks.FINISH_STEP)

    def text(self, text: str) -> None:
        if text:
            self.emit(chunks.text_delta(self._part("text"), text))

    def reasoning(self, text: str) -> None:
        if text:
            self.emit(chunks.reasoning_delta(self._part("reasoning"), text))

    def seal(self, seal: dict[str, Any]) -> None:
        """Ends the reasoning with what its provider wants to see again."""
        part = self._part("reasoning")
        self._open = None
        self.emit(chunks.reasoning_end(part, seal))

    def notice(self, text: str, part: str | None = None) -> None:
        self.end_part()
        self.emit(chunks.notice(text, part))

    def begin_call(self, tool: str, *, is_ours: bool) -> str:
        """The id under which the call goes on."""
        self.end_part()
        call = new_call_id()
        self._unanswered[call] = is_ours
        self.emit(chunks.tool_input_start(call, tool, is_ours=is_ours))
        return call

    def call_input(self, call: str, text: str) -> None:
        self.emit(chunks.tool_input_delta(call, text))

    def call_is_ready(self, call: str, tool: str, value: Any, *, is_ours: bool) -> None:
        self.emit(chunks.tool_input_available(call, tool, value, is_ours=is_ours))

    def answer_call(self, call: str, output: Any, error: str | None) -> None:
        self._unanswered.pop(call, None)
        self.emit(chunks.tool_output(call, output) if error is None else chunks.tool_error(call, error))

    def leave_call(self, call: str) -> None:
        """Somebody else will answer it."""
        self._unanswered.pop(call, None)

    def close(self, reason: str) -> None:
        """Nothing stays open; calls of ours without an answer get `reason` as their error."""
        self.end_part()
        for call, is_ours in list(self._unanswered.items()):
            if is_ours:
                self.answer_call(call, None, reason)
        self._unanswered.clear()
        self.end_step()

    def end_part(self) -> None:
        if self._open is not None:
            kind, part = self._open
            self._open = None
            self.emit(chunks.text_end(part) if kind == "text" else chunks.reasoning_end(part))

    def _part(self, kind: str) -> str:
        if self._open is not None and self._open[0] == kind:
            return self._open[1]
        self.end_part()
        self._parts += 1
        part = f"{kind[0]}{self._parts}"
        self._open = (kind, part)
        self.emit(chunks.text_start(part) if kind == "text" else chunks.reasoning_start(part))
        return part

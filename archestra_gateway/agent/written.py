"""What small models write into their text: tool calls as JSON, thoughts in tags. Pure."""

import json
from collections.abc import Collection
from typing import Any, Literal

import attrs

OPENERS = ("```json", "```tool_call", "```", "<tool_call>", "<|python_tag|>")
KEYS = ('"name"', '"function"', '"tool"', '"tool_name"', '"type"', '"arguments"', '"parameters"', '"id"')
BETWEEN = "` \t\r\n,;]"
LONGEST = 32 * 1024
THINK, THINK_END = "<think>", "</think>"

_decoder = json.JSONDecoder()


def looks_like_calls(text: str) -> bool | None:
    """Whether an answer that begins with `text` may be a call; None while that is open."""
    rest = text.lstrip()
    for opener in OPENERS:
        if rest.startswith(opener):
            rest = rest[len(opener) :].lstrip()
            break
        if opener.startswith(rest):
            return None
    rest = rest[1:].lstrip() if rest.startswith("[") else rest
    if not rest:
        return None
    if not rest.startswith("{"):
        return False
    rest = rest[1:].lstrip()
    if any(rest.startswith(key) for key in KEYS):
        return True
    return None if any(key.startswith(rest) for key in KEYS) else False


def read_calls(text: str, names: Collection[str]) -> tuple[list[tuple[str, dict[str, Any]]], str]:
    """The calls that `text` begins with, and the text after them."""
    calls: list[tuple[str, dict[str, Any]]] = []
    at = 0
    while (start := _next_value(text, at)) is not None:
        try:
            value, end = _decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            break
        found = [_call(item, names) for item in (value if isinstance(value, list) else [value])]
        if not found or None in found:
            break
        calls += [call for call in found if call is not None]
        at = end
    return calls, _without_ends(text[at:]) if calls else text


def _next_value(text: str, at: int) -> int | None:
    """Where the next JSON value begins, when nothing but wrapping stands before it."""
    rest = _without_ends(text[at:]) if at else text.lstrip()
    for opener in OPENERS:
        if rest.startswith(opener):
            rest = rest[len(opener) :].lstrip()
            break
    return len(text) - len(rest) if rest[:1] in ("{", "[") and rest else None


def _without_ends(text: str) -> str:
    text = text.lstrip(BETWEEN)
    while text.startswith("</tool_call>"):
        text = text.removeprefix("</tool_call>").lstrip(BETWEEN)
    return text


def _call(value: Any, names: Collection[str]) -> tuple[str, dict[str, Any]] | None:
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("function"), dict):
        value = value["function"]
    name = next((value[key] for key in ("name", "tool", "tool_name", "function") if key in value), None)
    given: Any = next(
        (value[key] for key in ("arguments", "parameters", "args", "input") if key in value), {}
    )
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            return None
    if not isinstance(name, str) or name not in names or not isinstance(given or {}, dict):
        return None
    return name, given or {}


@attrs.define
class WrittenCalls:
    """Holds back an answer that begins like a call, until it is over or is something else."""

    names: Collection[str]
    _held: str = ""
    _is_holding: bool = True

    def feed(self, text: str) -> str:
        """What may be shown now."""
        if not self._is_holding:
            return text
        self._held += text
        if self.names and looks_like_calls(self._held) is not False and len(self._held) < LONGEST:
            return ""
        self._is_holding = False
        held, self._held = self._held, ""
        return held

    def end(self) -> tuple[list[tuple[str, dict[str, Any]]], str]:
        """The calls that were written, and the text that was none."""
        held, self._held = self._held, ""
        return read_calls(held, self.names) if self._is_holding else ([], "")


@attrs.define
class ThinkTags:
    """Takes `<think>…</think>` from the beginning of an answer, where a server leaves it in the text."""

    _held: str = ""
    _state: Literal["start", "thinking", "text"] = "start"
    _is_fresh: bool = False

    def feed(self, text: str) -> tuple[str, str]:
        """Reasoning and text that may be shown now."""
        if self._state == "text":
            return "", self._begun(text)
        self._held += text
        if self._state == "start":
            begin = self._held.lstrip()
            if THINK.startswith(begin) and len(begin) < len(THINK):
                return "", ""
            if not begin.startswith(THINK):
                self._state = "text"
                return "", self.rest()
            self._state, self._is_fresh = "thinking", True
            self._held = begin[len(THINK) :]
        return self._think()

    def rest(self) -> str:
        """What is held at the end."""
        held, self._held = self._held, ""
        return held

    def _think(self) -> tuple[str, str]:
        reasoning, end, text = self._held.partition(THINK_END)
        if end:
            reasoning = self._begun(reasoning)
            self._state, self._held, self._is_fresh = "text", "", True
            return reasoning, self._begun(text)
        kept = next((n for n in range(len(THINK_END) - 1, 0, -1) if reasoning.endswith(THINK_END[:n])), 0)
        self._held = reasoning[len(reasoning) - kept :]
        return self._begun(reasoning[: len(reasoning) - kept]), ""

    def _begun(self, text: str) -> str:
        """Without the blanks after a tag, in whatever pieces they come."""
        if self._is_fresh:
            text = text.lstrip()
            self._is_fresh = not text
        return text

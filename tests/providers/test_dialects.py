"""Recorded dialogues with each kind of provider, in whatever pieces they come."""

import json
from typing import Any

import pytest

from archestra_gateway.providers import anthropic_messages, ollama_chat, openai_chat
from archestra_gateway.providers.conversation import (
    AssistantTurn,
    CallBegun,
    CallDelta,
    CallReady,
    Failed,
    Finished,
    Image,
    Prompt,
    ReasoningDelta,
    TextDelta,
    ThoughtEnded,
    Tool,
    ToolCall,
    ToolResult,
    ToolTurn,
    UserTurn,
)
from archestra_gateway.providers.dialect import BROKEN_OFF, Dialect, error_text, refuses_tools

OLLAMA, OPENAI, ANTHROPIC = ollama_chat.DIALECT, openai_chat.DIALECT, anthropic_messages.DIALECT


def ndjson(*rows: Any) -> bytes:
    return b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)


def sse(*rows: Any) -> bytes:
    return b"".join(
        b"data: " + (row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n\n" for row in rows
    )


def says(**message: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": "", **message}, "done": False}


def function(name: str, arguments: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments}}


def delta(reason: str | None = None, **said: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": said, "finish_reason": reason}]}


DONE = {
    "message": {"content": ""},
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 5,
    "eval_count": 2,
}

DIALOGUES: dict[str, tuple[Dialect, bytes, list[Any]]] = {
    "ollama: text, thoughts and usage": (
        OLLAMA,
        ndjson(says(thinking="Hm"), says(content="Hé"), DONE),
        [ReasoningDelta("Hm"), TextDelta("Hé"), Finished("stop", 5, 2)],
    ),
    "ollama: calls in any line, the last one too": (
        OLLAMA,
        ndjson(
            says(tool_calls=[function("a", {"x": 1})]),
            {**DONE, "message": {"content": "", "tool_calls": [function("b", '{"y": 2}')]}},
        ),
        [
            CallBegun(0, "a"),
            CallReady(0, "a", {"x": 1}),
            CallBegun(1, "b"),
            CallReady(1, "b", {"y": 2}),
            Finished("tool-calls", 5, 2),
        ],
    ),
    "ollama: a line that is no JSON is passed over": (
        OLLAMA,
        ndjson(says(content="a"), b"{oops\n\n", b"[]\n", says(content="b"), DONE),
        [TextDelta("a"), TextDelta("b"), Finished("stop", 5, 2)],
    ),
    "ollama: half a surrogate pair": (
        OLLAMA,
        ndjson(b'{"message":{"content":"a\\ud83d"},"done":false}\n', DONE),
        [TextDelta("a?"), Finished("stop", 5, 2)],
    ),
    "ollama: an error in the middle": (
        OLLAMA,
        ndjson(says(content="a"), {"error": "the runner died"}, says(content="b")),
        [TextDelta("a"), Failed("the runner died")],
    ),
    "ollama: cut off": (OLLAMA, ndjson(says(content="a")), [TextDelta("a"), Failed(BROKEN_OFF)]),
    "ollama: no line end at the end": (
        OLLAMA,
        ndjson(says(content="a"), DONE)[:-1],
        [TextDelta("a"), Finished("stop", 5, 2)],
    ),
    "openai: text and usage": (
        OPENAI,
        sse(
            delta(role="assistant", content=""),
            delta(reasoning_content="Hm"),
            delta(content="Hé"),
            delta("stop"),
            {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}},
            b"[DONE]",
        ),
        [ReasoningDelta("Hm"), TextDelta("Hé"), Finished("stop", 5, 2)],
    ),
    "openai: calls in pieces, two at a time": (
        OPENAI,
        sse(
            delta(tool_calls=[{"index": 0, "id": "1", **function("a", "")}]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": '{"x"'}}]),
            delta(tool_calls=[{"index": 1, "id": "2", **function("b", "")}]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": ":1}"}}]),
            delta("tool_calls"),
            b"[DONE]",
        ),
        [
            CallBegun(0, "a"),
            CallDelta(0, '{"x"'),
            CallBegun(1, "b"),
            CallDelta(0, ":1}"),
            CallReady(0, "a", {"x": 1}),
            CallReady(1, "b", {}),
            Finished("tool-calls", None, None),
        ],
    ),
    "openai: whole calls without an index, or all with the same": (
        OPENAI,
        sse(
            delta(tool_calls=[{"id": "1", **function("a", {"x": 1})}]),
            delta(tool_calls=[{"id": "2", **function("b", "{}")}]),
            delta(tool_calls=[{"index": 0, "id": "3", **function("c", "nonsense")}]),
            delta(tool_calls=[{"index": 0, "id": "4", **function("d", "")}]),
            delta("stop"),
        ),
        [
            CallBegun(0, "a"),
            CallDelta(0, '{"x":1}'),
            CallBegun(1, "b"),
            CallDelta(1, "{}"),
            CallBegun(2, "c"),
            CallDelta(2, "nonsense"),
            CallBegun(3, "d"),
            CallReady(0, "a", {"x": 1}),
            CallReady(1, "b", {}),
            CallReady(2, "c", "nonsense"),
            CallReady(3, "d", {}),
            Finished("tool-calls", None, None),
        ],
    ),
    "openai: an error in the middle": (
        OPENAI,
        sse(delta(content="a"), {"error": {"message": "overloaded", "code": 503}}),
        [TextDelta("a"), Failed("overloaded")],
    ),
    "openai: cut off": (OPENAI, sse(delta(content="a")), [TextDelta("a"), Failed(BROKEN_OFF)]),
    "anthropic: thoughts, text, a call, usage": (
        ANTHROPIC,
        sse(
            {"type": "message_start", "message": {"usage": {"input_tokens": 5, "output_tokens": 1}}},
            {
                "type": "content_block_start",
                "index": 0,
                "content_block": {"type": "thinking", "thinking": ""},
            },
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "thinking_delta", "thinking": "Hm"},
            },
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "signature_delta", "signature": "x"},
            },
            {"type": "content_block_stop", "index": 0},
            {"type": "ping"},
            {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hé"}},
            {"type": "content_block_stop", "index": 1},
            {
                "type": "content_block_start",
                "index": 2,
                "content_block": {"type": "tool_use", "id": "toolu_1", "name": "a", "input": {}},
            },
            {
                "type": "content_block_delta",
                "index": 2,
                "delta": {"type": "input_json_delta", "partial_json": '{"x":1}'},
            },
            {"type": "content_block_stop", "index": 2},
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 2}},
            {"type": "message_stop"},
        ),
        [
            ReasoningDelta("Hm"),
            ThoughtEnded("x"),
            TextDelta("Hé"),
            CallBegun(0, "a"),
            CallDelta(0, '{"x":1}'),
            CallReady(0, "a", {"x": 1}),
            Finished("tool-calls", 5, 2),
        ],
    ),
    "anthropic: an error in the middle": (
        ANTHROPIC,
        sse({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        [Failed("Overloaded")],
    ),
    "anthropic: cut off": (ANTHROPIC, sse({"type": "ping"}), [Failed(BROKEN_OFF)]),
}


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("name", DIALOGUES)
def test_a_dialogue(name: str, size: int) -> None:
    dialect, stream, events = DIALOGUES[name]
    reader = dialect.reader()

    read = [event for at in range(0, len(stream), size) for event in reader.feed(stream[at : at + size])]

    assert read + reader.end() == events


PROMPT = Prompt(
    "m",
    "Be brief.",
    (
        UserTurn("Look", (Image("image/png", "QUJD"),)),
        AssistantTurn("I call.", "Hm", (ToolCall("c1", "a", {"x": 1}),)),
        ToolTurn((ToolResult("c1", "a", "no", is_error=True),)),
    ),
    (Tool("a", "Does a", {}),),
)
PARAMETERS = {"type": "object", "properties": {}}


def test_ollama_is_asked() -> None:
    assert OLLAMA.body(PROMPT) == {
        "model": "m",
        "stream": True,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Look", "images": ["QUJD"]},
            {
                "role": "assistant",
                "content": "I call.",
                "thinking": "Hm",
                "tool_calls": [{"id": "c1", "function": {"name": "a", "arguments": {"x": 1}}}],
            },
            {"role": "tool", "content": "no", "tool_name": "a", "tool_call_id": "c1"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "a", "description": "Does a", "parameters": PARAMETERS},
            }
        ],
    }


def test_openai_is_asked() -> None:
    body = OPENAI.body(PROMPT)

    assert body["messages"][1:] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
            ],
        },
        {
            "role": "assistant",
            "content": "I call.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "a", "arguments": '{"x":1}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "no"},
    ]
    assert body["stream_options"] == {"include_usage": True}


def test_anthropic_is_asked() -> None:
    body = ANTHROPIC.body(PROMPT)

    assert body["system"] == "Be brief."
    assert body["tools"] == [{"name": "a", "description": "Does a", "input_schema": PARAMETERS}]
    assert body["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}},
                {"type": "text", "text": "Look"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I call."},
                {"type": "tool_use", "id": "c1", "name": "a", "input": {"x": 1}},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "no", "is_error": True}],
        },
    ]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error": "model not found"}', "model not found"),
        (b'{"error": {"message": "bad key"}}', "bad key"),
        (b'{"message": "no"}', "no"),
        (b"<html>Bad Gateway</html>", "<html>Bad Gateway</html>"),
        (b"", "status 502, without a word"),
    ],
)
def test_what_an_error_says_to_people(body: bytes, text: str) -> None:
    assert error_text(502, body) == text


def test_models_that_can_not_use_tools_are_known_by_what_they_say() -> None:
    assert refuses_tools(400, "registry.ollama.ai/library/gemma does not support tools")
    assert refuses_tools(404, "No endpoints found that support tool use: tool use is not supported")
    assert not refuses_tools(500, "does not support tools")
    assert not refuses_tools(400, "model not found")

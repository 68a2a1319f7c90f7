"""From UI messages to what a model is told."""

from typing import Any

from archestra_gateway.agent.history import GO_ON, NO_RESULT, History
from archestra_gateway.providers.conversation import (
    AssistantTurn,
    Image,
    ToolCall,
    ToolResult,
    ToolTurn,
    Turn,
    UserTurn,
)


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"id": "u", "role": "user", "parts": list(parts) or [{"type": "text", "text": "Hi"}]}


def assistant(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"id": "a", "role": "assistant", "parts": list(parts)}


def turns(*messages: dict[str, Any]) -> tuple[Turn, ...]:
    return History(limit=20).turns(list(messages))


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


STEP = {"type": "step-start"}


def test_each_step_is_an_answer_with_its_calls_and_their_results() -> None:
    call = {"type": "dynamic-tool", "toolName": "a__b", "toolCallId": "1", "input": {"x": 1}}
    done = {**call, "state": "output-available", "output": {"content": [{"type": "text", "text": "y"}]}}
    failed = {
        "type": "tool-mine",
        "toolCallId": "2",
        "input": {},
        "state": "output-error",
        "errorText": "broke",
    }

    told = turns(user(), assistant(STEP, text("I look."), done, failed, STEP, text("So.")), user())

    assert told == (
        UserTurn("Hi"),
        AssistantTurn("I look.", calls=(ToolCall("1", "a__b", {"x": 1}), ToolCall("2", "mine", {}))),
        ToolTurn((ToolResult("1", "a__b", "y"), ToolResult("2", "mine", "broke", is_error=True))),
        AssistantTurn("So."),
        UserTurn("Hi"),
    )


def test_a_call_without_a_result_gets_one_because_providers_insist() -> None:
    open_call = {"type": "tool-mine", "toolCallId": "1", "input": {}, "state": "input-available"}

    told = turns(user(), assistant(open_call), user())

    assert told[2] == ToolTurn((ToolResult("1", "mine", NO_RESULT, is_error=True),))


def test_an_answer_that_broke_off_is_to_be_gone_on_with() -> None:
    assert turns(user(), assistant(text("Half"))) == (
        UserTurn("Hi"),
        AssistantTurn("Half"),
        UserTurn(GO_ON),
    )


def test_files_are_shown_as_far_as_models_can_see_them() -> None:
    def file(media_type: str, url: str) -> dict[str, Any]:
        return {"type": "file", "mediaType": media_type, "filename": "f", "url": url}

    [told] = turns(
        user(
            text("Look"),
            file("image/png", "data:image/png;base64,QUJD"),
            file("text/plain", "data:text/plain,a%20b"),
            file("application/pdf", "data:application/pdf;base64,QUJD"),
            file("image/png", "https://example.com/a.png"),
        )
    )

    assert told == UserTurn(
        "Look\n\nThe file f:\na b\n\n[The file f (application/pdf) can not be shown to the model]\n\n"
        "[The file f is not here: files are sent as data URLs]",
        (Image("image/png", "QUJD"),),
    )


def test_long_results_are_cut_for_the_model() -> None:
    done = {"type": "tool-mine", "toolCallId": "1", "state": "output-available", "output": "x" * 50}

    told = turns(user(), assistant(done), user())[2]

    assert isinstance(told, ToolTurn)
    assert told.results[0].text == "x" * 20 + "\n\n[Cut here: these are the first 20 of 50 characters]"

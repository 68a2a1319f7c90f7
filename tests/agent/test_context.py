"""What goes when a conversation is too large for its model, and what never does."""

import pytest

from archestra_gateway.agent.context import Context, cost
from archestra_gateway.providers.conversation import (
    AssistantTurn,
    Image,
    Prompt,
    ToolCall,
    ToolResult,
    ToolTurn,
    Turn,
    UserTurn,
)
from archestra_gateway.providers.ollama_chat import context

LONG = "word " * 200


def question(text: str = "") -> UserTurn:
    return UserTurn(f"{text}{LONG}")


def calls(name: str) -> tuple[AssistantTurn, ToolTurn]:
    result = ToolResult(name, "read", LONG)
    return AssistantTurn("", calls=(ToolCall(name, "read", {}),)), ToolTurn((result,))


FIRST, SECOND, LAST = question("1"), question("2"), question("3")
ANSWER = AssistantTurn(LONG)
CALL, RESULT = calls("one")
LATER_CALL, LATER_RESULT = calls("two")


def fitted(turns: list[Turn], tokens: int | None) -> tuple[Turn, ...]:
    return Context(tokens).fit(Prompt("m", "", tuple(turns))).turns


def room_for(*turns: Turn) -> int:
    """A context whose three quarters are just enough."""
    return sum(map(cost, turns)) * 4 // 3 + 4


@pytest.mark.parametrize("tokens", [None, room_for(FIRST, ANSWER, SECOND)])
def test_what_fits_stays_as_it_is(tokens: int | None) -> None:
    assert fitted([FIRST, ANSWER, SECOND], tokens) == (FIRST, ANSWER, SECOND)


@pytest.mark.parametrize(
    ("turns", "room", "kept"),
    [
        ([FIRST, ANSWER, SECOND, ANSWER, LAST], [SECOND, ANSWER, LAST], [SECOND, ANSWER, LAST]),
        ([FIRST, ANSWER, SECOND, ANSWER, LAST], [ANSWER, SECOND, ANSWER, LAST], [SECOND, ANSWER, LAST]),
        ([FIRST, CALL, RESULT, ANSWER, LAST], [RESULT, ANSWER, LAST], [LAST]),
        ([FIRST, ANSWER, LAST], [], [LAST]),
        ([LAST, CALL, RESULT, LATER_CALL, LATER_RESULT], [LAST, LATER_CALL, LATER_RESULT],
         [LAST, LATER_CALL, LATER_RESULT]),
        ([FIRST, ANSWER, LAST, CALL, RESULT, LATER_CALL, LATER_RESULT], [LAST],
         [LAST, LATER_CALL, LATER_RESULT]),
    ],
)  # fmt: skip
def test_the_oldest_goes_first(turns: list[Turn], room: list[Turn], kept: list[Turn]) -> None:
    assert fitted(turns, room_for(*room)) == tuple(kept)


def test_a_system_prompt_takes_room_and_stays() -> None:
    prompt = Prompt("m", LONG, (FIRST, ANSWER, LAST))
    fits = Context(room_for(FIRST, ANSWER, LAST))

    told = fits.fit(prompt)

    assert (told.system, told.turns, fits.left_out) == (LONG, (LAST,), 2)


def test_pictures_take_room() -> None:
    assert cost(UserTurn("", (Image("image/png", "AAAA"),))) > 1000


@pytest.mark.parametrize(
    ("shown", "length"),
    [
        ({"model_info": {"general.architecture": "llama", "llama.context_length": 8192}}, 8192),
        ({"model_info": {"llama.context_length": 8192}, "parameters": "stop x\nnum_ctx    2048\n"}, 2048),
        ({"model_info": {"llama.context_length": "many"}}, None),
        ({}, None),
        ([], None),
    ],
)
def test_ollama_tells_a_models_context(shown: object, length: int | None) -> None:
    assert context(shown) == length

"""What models write into their text, in whatever pieces it comes."""

from typing import Any

import pytest

from archestra_gateway.agent.written import ThinkTags, WrittenCalls

NAMES = frozenset({"files__read", "read"})
CALL = ("files__read", {"path": "/a"})


def pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "calls", "said"),
    [
        ('{"name": "files__read", "arguments": {"path": "/a"}}', [CALL], ""),
        ('  {"name":"files__read","parameters":{"path":"/a"}}\n', [CALL], ""),
        ('```json\n{"name": "files__read", "arguments": {"path": "/a"}}\n```', [CALL], ""),
        ('<tool_call>\n{"name": "files__read", "arguments": {"path": "/a"}}\n</tool_call>', [CALL], ""),
        ('[{"name": "files__read", "arguments": {"path": "/a"}}]', [CALL], ""),
        (
            '{"type":"function","function":{"name":"files__read","arguments":"{\\"path\\":\\"/a\\"}"}}',
            [CALL],
            "",
        ),
        ('{"function": "files__read", "arguments": {"path": "/a"}}', [CALL], ""),
        (
            '<tool_call>{"name":"read"}</tool_call>\n<tool_call>{"name":"read","arguments":{"a":1}}</tool_call>',
            [("read", {}), ("read", {"a": 1})],
            "",
        ),
        ('{"name": "read"} That reads it.', [("read", {})], "That reads it."),
        ('{"name": "Ada", "age": 36}', [], '{"name": "Ada", "age": 36}'),
        ('{"colour": "red"}', [], '{"colour": "red"}'),
        ('{"name": "read", "arg', [], '{"name": "read", "arg'),
        ("```python\nprint()\n```", [], "```python\nprint()\n```"),
        ("[1] is a footnote", [], "[1] is a footnote"),
        ("Hello {name}", [], "Hello {name}"),
        ("", [], ""),
    ],
)
def test_calls_that_are_written_as_text(text: str, calls: list[Any], said: str, size: int) -> None:
    written = WrittenCalls(NAMES)

    shown = "".join(written.feed(piece) for piece in pieces(text, size))
    found, rest = written.end()

    assert (found, shown + rest) == (calls, said)


def test_ordinary_text_is_not_held_back() -> None:
    written = WrittenCalls(NAMES)

    assert [written.feed(piece) for piece in ("He", "llo", " {")] == ["He", "llo", " {"]


def test_without_tools_nothing_is_held_back() -> None:
    assert WrittenCalls(frozenset()).feed('{"name": "rea') == '{"name": "rea'


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize(
    ("text", "reasoning", "said"),
    [
        ("<think>Hm.</think>\n\nYes", "Hm.", "Yes"),
        ("\n<think>\na < b </think>Yes", "a < b ", "Yes"),
        ("<think>cut off", "cut off", ""),
        ("<thing> no", "", "<thing> no"),
        ("Yes <think>no</think>", "", "Yes <think>no</think>"),
    ],
)
def test_thoughts_in_tags(text: str, reasoning: str, said: str, size: int) -> None:
    tags = ThinkTags()

    told = [tags.feed(piece) for piece in pieces(text, size)]

    assert "".join(thought for thought, _ in told) == reasoning
    assert "".join(word for _, word in told) + tags.rest() == said

"""When two definitions of a tool say the same, and how a difference is shown."""

import json
from typing import Any

import pytest
from msgspec import Raw

from archestra_gateway.protocol.tool_definition import Definition, differences, visible

SCHEMA = {"type": "object", "properties": {"to": {"enum": ["a", "b"]}}, "required": ["to", "by"]}
SEND = {"name": "send", "description": "Sends it", "inputSchema": SCHEMA}


def read(text: str) -> Definition:
    found = Definition.read(Raw(text.encode()))
    assert found is not None
    return found


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(SEND),
        json.dumps(SEND, indent=2),
        json.dumps(dict(reversed(SEND.items()))),
        json.dumps({**SEND, "title": None}),
        json.dumps({**SEND, "inputSchema": {**SCHEMA, "required": ["by", "to"]}}),
        json.dumps({**SEND, "inputSchema": {**SCHEMA, "properties": {"to": {"enum": ["b", "a"]}}}}),
        json.dumps(SEND).replace("send", r"s\u0065nd"),
    ],
    ids=["itself", "spaces", "order", "null", "order of required", "order of an enum", "escapes"],
)
def test_the_same_has_the_same_digest(text: str) -> None:
    assert read(text) == read(json.dumps(SEND))


@pytest.mark.parametrize(
    "more",
    [
        {"description": "Sends it "},
        {"title": "Send"},
        {"inputSchema": {**SCHEMA, "required": ["to"]}},
        {"inputSchema": {**SCHEMA, "properties": {"to": {"enum": ["a", "b", "c"]}}}},
        {"inputSchema": {**SCHEMA, "anyOf": [{"type": "a"}, {"type": "b"}]}},
        {"annotations": {"readOnlyHint": True}},
        {"_meta": {}},
        {"anything": 0},
    ],
    ids=str,
)
def test_anything_else_is_a_change(more: dict[str, Any]) -> None:
    assert read(json.dumps({**SEND, **more})) != read(json.dumps(SEND))


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "3",
        "{}",
        '{"name": ""}',
        '{"name": 3}',
        r'{"name": "half \ud83d"}',
        '{"name": "send", "description": "Poison", "description": "Sends it"}',
        '{"name": "send", "inputSchema": {"type": "object", "type": "array"}}',
        '{"name": "send", "weight": NaN}',
        '{"name": "send", "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
    ids=lambda text: text[:40],
)
def test_what_two_readers_may_understand_differently_is_no_definition(text: str) -> None:
    assert Definition.read(Raw(text.encode())) is None


def test_half_a_surrogate_pair_in_a_description_is_one() -> None:
    assert read(r'{"name": "send", "description": "\ud83d"}') != read('{"name": "send", "description": ""}')


def test_a_difference_is_shown_member_by_member_and_line_by_line() -> None:
    after = {
        "name": "send",
        "description": "Sends it\nand tells me",
        "inputSchema": {**SCHEMA, "required": ["to"]},
        "annotations": {"readOnlyHint": True},
    }

    required = '   },\n   "required": [\n-    "to",\n-    "by"\n+    "to"\n   ],\n   "type": "object"'

    assert dict(differences(SEND, after)) == {
        "description": " Sends it\n+and tells me",
        "inputSchema": required,
        "annotations": '+{\n+  "readOnlyHint": true\n+}',
    }


def test_lines_that_look_like_a_headline_are_shown_too() -> None:
    before, after = {"description": "-- a"}, {"description": "++ b\n@@ c"}

    assert dict(differences(before, after)) == {"description": "--- a\n+++ b\n+@@ c"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, größer 😀", "plain, größer 😀"),
        ("zero\u200bwidth", r"zero\u{200b}width"),
        ("\u202eright to left", r"\u{202e}right to left"),
        ("tags\U000e0041", r"tags\u{e0041}"),
        ("selector\ufe01\U000e0101", r"selector\u{fe01}\u{e0101}"),
        ("wide\u3000space and\x1b[8m", r"wide\u{3000}space and\u{1b}[8m"),
    ],
)
def test_what_can_not_be_seen_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_huge_difference_is_cut_and_that_is_said() -> None:
    after = {"description": "\n".join(f"line {number}" for number in range(100_000))}

    [(_, shown)] = differences({}, after)

    assert len(shown) < 30_000
    assert shown.endswith(f"({len(after['description'])} characters in all)")

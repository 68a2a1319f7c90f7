"""Any commented JSON document through set, remove and undo: it says what it should, with all its comments."""

import re
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archestra_gateway.client_configs import edit, jsonc
from archestra_gateway.client_configs.formats import DIALECTS, Format, load, remove_entry, set_entry
from archestra_gateway.client_configs.json_tree import FormatError
from archestra_gateway.client_configs.section import Section, entries

Write = Callable[[bytes], tuple[str, Any]]

ENTRY = {
    "type": "http",
    "url": "http://localhost:54587/mcp",
    "headers": {"Authorization": "Bearer x"},
    "tools": ["*"],
}
SECTIONS = (
    Section(("mcpServers",)),
    Section(("a", "b")),
    Section(("amp.mcpServers",)),
    Section(("new", "newer")),
)
NAMES = ("archestra", "a", "b", "entirely new")
TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\r\n]*|/\*.*?\*/', re.DOTALL)


def comments(text: str) -> list[str]:
    return [token for token in TOKENS.findall(text) if token.startswith("/")]


def run(documents: int, check: Callable[[bytes, Section, str], None]) -> None:
    """`check` with so many documents."""
    fuzzed = given(st.binary(max_size=96), st.sampled_from(SECTIONS), st.sampled_from(NAMES))(check)
    quick = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    settings(max_examples=documents, deadline=None, database=None, suppress_health_check=quick)(fuzzed)()


def test_the_reader_and_the_generator_agree(documents: int, write_jsonc: Write) -> None:
    def check(entropy: bytes, _section: Section, _name: str) -> None:
        text, value = write_jsonc(entropy)

        assert jsonc.load(text, DIALECTS[Format.JSONC]) == value

    run(documents, check)


def test_setting_an_entry_changes_that_entry_alone(documents: int, write_jsonc: Write) -> None:
    def check(entropy: bytes, section: Section, name: str) -> None:
        text, value = write_jsonc(entropy)
        try:
            is_new = name not in entries(value, section)
        except FormatError:
            return  # something else than a map stands there: refused before a byte is touched

        written = set_entry(Format.JSONC, text, section, name, ENTRY)

        assert entries(load(Format.JSONC, written), section)[name] == ENTRY
        if is_new:
            assert comments(written) == comments(text)
            assert text == _without(written, text)
        assert ("\r\n" in text) == ("\r\n" in written) or "\n" not in text

    run(documents, check)


def test_removing_what_was_set_leaves_what_was_there(documents: int, write_jsonc: Write) -> None:
    def check(entropy: bytes, section: Section, name: str) -> None:
        text, value = write_jsonc(entropy)
        try:
            if name in entries(value, section):
                return
        except FormatError:
            return

        written = set_entry(Format.JSONC, text, section, name, ENTRY)
        removed = remove_entry(Format.JSONC, written, section, name)

        assert entries(load(Format.JSONC, removed), section) == entries(value, section)
        assert comments(removed) == comments(text)

    run(documents, check)


def test_removing_any_entry_keeps_every_comment_outside_of_it(documents: int, write_jsonc: Write) -> None:
    def check(entropy: bytes, section: Section, _name: str) -> None:
        text, value = write_jsonc(entropy)
        try:
            held = entries(value, section)
        except FormatError:
            return
        for name in held:
            removed = remove_entry(Format.JSONC, text, section, name)

            assert entries(load(Format.JSONC, removed), section) == {
                k: v for k, v in held.items() if k != name
            }
            if '"' + name + '"' not in text[text.find(name) + len(name) :]:
                assert _is_sublist(comments(removed), comments(text))

    run(documents, check)


def test_taking_a_change_back_gives_the_same_bytes(documents: int, write_jsonc: Write) -> None:
    def check(entropy: bytes, section: Section, name: str) -> None:
        text, value = write_jsonc(entropy)
        try:
            entries(value, section)
        except FormatError:
            return

        written = set_entry(Format.JSONC, text, section, name, ENTRY)
        change = edit.between(text, written)

        assert written == text or edit.undo(written, change, text.__eq__) == text

    run(documents, check)


def test_what_is_not_json_is_refused_and_never_crashes(documents: int, write_jsonc: Write) -> None:
    def check(entropy: bytes, section: Section, name: str) -> None:
        text, _ = write_jsonc(entropy)
        at = (entropy[0] if entropy else 0) % (len(text) + 1)
        broken = text[:at] + name[0] + text[at:]

        try:
            document = load(Format.JSONC, broken)
            entries(document, section)
        except FormatError:
            return
        assert load(Format.JSONC, set_entry(Format.JSONC, broken, section, name, ENTRY))

    run(documents, check)


def _without(written: str, text: str) -> str:
    """`written` with the one stretch taken back in which it differs; it replaced white space or null."""
    change = edit.between(text, written)
    kept = change.before.strip(" \t\r\n,")
    assert kept in ("", "null") or kept in change.after
    return written[: change.at] + change.before + written[change.at + len(change.after) :]


def _is_sublist(small: list[str], large: list[str]) -> bool:
    rest = iter(large)
    return all(item in rest for item in small)

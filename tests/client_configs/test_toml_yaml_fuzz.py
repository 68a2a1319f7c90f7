"""Commented TOML and YAML documents through set, remove and undo."""

from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archestra_gateway.client_configs import edit
from archestra_gateway.client_configs.formats import Format, entries, load, remove_entry, set_entry
from archestra_gateway.client_configs.json_tree import FormatError
from archestra_gateway.client_configs.section import Section

ENTRY = {
    "name": "archestra",
    "url": "http://localhost/mcp",
    "headers": {"A": "b c"},
    "args": ["x"],
    "on": True,
}
PART = 12
"""Documents take a while to read: so many fewer than in the JSON tests."""

TOML_PIECES = (
    "top = 1 # one\n",
    "# a comment\n",
    "\n",
    "[mcp_servers.a] # keep\nurl = 'x'\n",
    '[mcp_servers."b c".env]\nK = "v"\n# behind\n',
    "[mcp_servers]\n",
    "[other]\ntext = '''\n[mcp_servers.archestra]\n'''\n",
    '[other.more]\nlist = [\n  1, # one\n  2,\n]\n"a=b" = "c = d"\n',
    "[[tables]]\nx = 1\n",
    "mcp_servers.dotted.url = 'x'\n",
    "mcp_servers = { inline = { url = 'x' } }\n",
    "date = 2026-01-01T00:00:00Z\n",
)
YAML_PIECES = (
    "top: 1 # one\n",
    "# a comment\n",
    "\n",
    "text: |\n  one\n\n  two\n\n",
    "folded: >-\n    one\n    two\n",
    "list:\n- a # keep\n- b: 1\n  c: [1, 2, ]\n",
    "'quoted key': \"value # none\"\n",
    "multi: one\n  two\n  three\n",
    "flow: {a: 1, b: [x, 'y']} # keep\n",
    "anchor: &x {a: 1}\nalias: *x\n",
    "empty:\n",
)
YAML_SERVERS = (
    "",
    "servers:\n",
    "servers: {}  # none\n",
    "servers:\n  a: # keep\n    cmd: x\n    # inside\n    args:\n    - y\n  # behind\n",
    "servers:\n    a:\n        text: |\n            one\n\n    b: {cmd: x}\n",
    "servers: {a: {cmd: x}}\n",
    "servers: {\n  a: {cmd: x},\n}\n",
    "servers: ~\n",
)
YAML_LISTS = (
    "",
    "servers: []\n",
    "servers:\n- name: a # keep\n  cmd: x\n# behind\n",
    "servers:\n  - name: a\n    args:\n      - y\n\n  -   name: b\n      cmd: z\n",
    "servers: [{name: a}, {name: b, cmd: x}]\n",
)


def documents_of(pieces: tuple[str, ...], servers: tuple[str, ...]) -> st.SearchStrategy[str]:
    """A few pieces in some order, each at most once, with the servers somewhere between them."""
    some = st.lists(st.sampled_from(pieces), unique=True, max_size=6)
    ends = st.sampled_from(("\n", "\r\n"))
    return st.builds(_joined, some, st.sampled_from(servers), some, ends, st.booleans())


def _joined(before: list[str], servers: str, after: list[str], end: str, is_cut: bool) -> str:
    rest = [piece for piece in after if piece not in before or piece in ("\n", "# a comment\n")]
    text = "".join([*before, servers, *rest])
    return (text.rstrip("\n") if is_cut else text).replace("\n", end)


def run(documents: int, texts: st.SearchStrategy[str], check: Callable[[str], None]) -> None:
    quick = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    fuzzed = given(texts)(check)
    settings(max_examples=documents // PART, deadline=None, database=None, suppress_health_check=quick)(
        fuzzed
    )()


def checks(form: Format, section: Section, text: str) -> None:
    """Set, read, remove and undo, compared with what plain values would do."""
    try:
        held = entries(form, text, section)
        written = set_entry(form, text, section, "archestra", ENTRY)
    except FormatError:
        return  # pieces that do not go together, or a text without an end to write behind

    assert entries(form, written, section) == {**held, "archestra": ENTRY}
    assert _comments(written) == _comments(text)
    assert ("\r\n" in written) == ("\r\n" in text) or "\n" not in text
    if "\r\n" in text:
        assert written.count("\n") == written.count("\r\n")
    assert edit.undo(written, edit.between(text, written), text.__eq__) == text
    for name in _removable(form, written, section):
        removed = remove_entry(form, written, section, name)
        left = {key: value for key, value in entries(form, written, section).items() if key != name}
        assert entries(form, removed, section) == left
        assert {k: v for k, v in load(form, removed).items() if k != section.path[0]} == {
            k: v for k, v in load(form, text).items() if k != section.path[0]
        }


def _removable(form: Format, text: str, section: Section) -> Iterator[str]:
    yield "archestra"
    yield from (name for name in entries(form, text, section) if name != "archestra")


def _comments(text: str) -> list[str]:
    words: tuple[Any, ...] = ("# one", "# keep", "# a comment", "# behind", "# inside", "# none")
    return sorted(word for word in words for _ in range(text.count(word)))


def test_toml(documents: int) -> None:
    section = Section(("mcp_servers",))

    run(documents, documents_of(TOML_PIECES, ("",)), lambda text: checks(Format.TOML, section, text))


def test_yaml_maps(documents: int) -> None:
    section = Section(("servers",))

    run(documents, documents_of(YAML_PIECES, YAML_SERVERS), lambda text: checks(Format.YAML, section, text))


def test_yaml_lists(documents: int) -> None:
    section = Section(("servers",), is_list=True)

    run(documents, documents_of(YAML_PIECES, YAML_LISTS), lambda text: checks(Format.YAML, section, text))

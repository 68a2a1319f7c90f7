"""Connecting, what others do to the file in between, and disconnecting: byte for byte."""

from pathlib import Path

import attrs
import pytest

from archestra_gateway.client_configs.client import Client
from archestra_gateway.client_configs.entry import Bridge, Remote, render
from archestra_gateway.client_configs.formats import Format, entries
from archestra_gateway.client_configs.json_tree import FormatError
from archestra_gateway.client_configs.plan import Record, connect, difference, disconnect, states
from archestra_gateway.client_configs.table import CLIENTS
from archestra_gateway.errors import Conflict

BY_ID = {client.id: client for client in CLIENTS}

FOUND = Path(__file__).parent / "found"


def sample(client: Client) -> str:
    """A file that a person has lived with, with a server of theirs."""
    name = "yaml_list" if client.section.is_list else client.form.value
    return (FOUND / name).read_text("utf-8").replace("KEY", client.section.path[-1])


def beginnings(client: Client) -> dict[str, str | None]:
    """Files as they are found: none, empty, lived with, of Windows, …"""
    found = {
        "no file": None,
        "empty": "",
        "lived with": sample(client),
        "of Windows": "\ufeff" + sample(client).replace("\n", "\r\n"),
        "without a last line end": sample(client).rstrip(),
        "nothing of ours": sample(client).replace(f"{client.section.path[-1]}", "somethingElse"),
    }
    if client.form not in (Format.TOML, Format.YAML):
        key = client.section.path[-1]
        found |= {
            "empty object": "{}",
            "empty map": f'{{"{key}": {{}}}}\n',
            "null": f'{{\n  "{key}": null\n}}\n',
            "one line": f'{{"a":1,"{key}":{{"other":{{}}}}}}',
        }
    if client.form is Format.YAML:
        found |= {"empty map": f"{client.section.path[-1]}:\nz: 1\n", "comments": "# nothing yet\n"}
    return found


CASES = [
    pytest.param(client, text, id=f"{client.id}: {kind}")
    for client in CLIENTS
    for kind, text in beginnings(client).items()
]


@pytest.mark.parametrize(("client", "text"), CASES)
def test_connecting_and_disconnecting_leaves_the_file_as_it_was(
    client: Client, text: str | None, remote: Remote, bridge: Bridge
) -> None:
    wanted = {"archestra": render(client, remote, bridge)}

    plan = connect(client, text, Record(), wanted)
    back = disconnect(client, plan.text, plan.record)

    assert entries(client.form, plan.text or "", client.section)["archestra"] == wanted["archestra"]
    assert (text or "").count("keep") == (plan.text or "").count("keep")
    assert back.text == text
    assert not back.record.entries


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.id)
def test_servers_that_come_and_go_leave_no_trace(client: Client, remote: Remote, bridge: Bridge) -> None:
    text = sample(client)
    one, two = (
        render(
            client,
            attrs.evolve(remote, name=name, url=f"{remote.url}/{name}"),
            attrs.evolve(bridge, name=name),
        )
        for name in ("one", "two")
    )

    plan = connect(client, text, Record(), {"one": one})
    plan = connect(client, plan.text, plan.record, {"one": one, "two": two})
    plan = connect(client, plan.text, plan.record, {"two": two})

    assert set(entries(client.form, plan.text or "", client.section)) == {"other", "two"}
    assert disconnect(client, plan.text, plan.record).text == text


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.id)
def test_what_others_wrote_in_between_stays(client: Client, remote: Remote, bridge: Bridge) -> None:
    text = sample(client)
    plan = connect(client, text, Record(), {"archestra": render(client, remote, bridge)})
    assert plan.text

    edited = plan.text.replace("example.com", "example.org").replace("keep", "keep!").replace("dark", "light")

    expected = text.replace("example.com", "example.org").replace("keep", "keep!").replace("dark", "light")
    assert disconnect(client, edited, plan.record).text == expected


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.id)
def test_a_file_that_does_not_parse_is_refused(client: Client, remote: Remote, bridge: Bridge) -> None:
    broken = sample(client) + "\n  ]{: = [\n"

    with pytest.raises(FormatError):
        connect(client, broken, Record(), {"archestra": render(client, remote, bridge)})


@pytest.mark.parametrize(
    "client", [c for c in CLIENTS if c.form is Format.JSON], ids=lambda client: client.id
)
def test_a_comment_where_the_client_allows_none_is_refused(client: Client) -> None:
    with pytest.raises(FormatError, match="line 1: comments are not allowed here"):
        connect(client, "// mine\n{}\n", Record(), {"archestra": {"url": "http://localhost/"}})


def test_gemini_takes_comments_and_no_trailing_commas() -> None:
    with pytest.raises(FormatError, match='line 2: a comma before "}" is not allowed here'):
        connect(BY_ID["gemini-cli"], '{ // mine\n"a": 1,}', Record(), {"archestra": {}})


@pytest.mark.parametrize("held", ["[]", '"text"', "3", "true"])
def test_what_is_not_a_map_of_servers_is_refused(held: str) -> None:
    with pytest.raises(FormatError, match='"mcpServers" is not a map of names to entries'):
        connect(BY_ID["cursor"], f'{{"mcpServers": {held}}}', Record(), {"archestra": {"url": "http://x"}})


def test_a_server_of_the_same_name_is_never_replaced() -> None:
    text = '{"mcpServers": {"archestra": {"url": "https://other.example"}}}'

    with pytest.raises(Conflict, match="Cursor already has another server named archestra"):
        connect(BY_ID["cursor"], text, Record(), {"archestra": {"url": "http://localhost:54587/mcp"}})


def test_an_entry_that_somebody_typed_in_by_hand_becomes_ours() -> None:
    text = '{"mcpServers": {"archestra": {"url": "http://localhost:54587/mcp", "headers": {"X": "1"}}}}'

    plan = connect(BY_ID["cursor"], text, Record(), {"archestra": {"url": "http://localhost:54587/mcp"}})

    assert plan.text == '{"mcpServers": {"archestra": {"url": "http://localhost:54587/mcp"}}}'
    assert disconnect(BY_ID["cursor"], plan.text, plan.record).text == '{"mcpServers": {}}'


class TestDrift:
    client = BY_ID["cursor"]
    wanted = {"one": {"url": "http://localhost/one"}, "two": {"url": "http://localhost/two"}}

    def test_what_others_changed_or_removed_is_found(self) -> None:
        plan = connect(self.client, "{}\n", Record(), self.wanted)

        changed = (plan.text or "").replace("localhost/one", "elsewhere/one")

        assert states(self.client, plan.text, plan.record) == {"one": "same", "two": "same"}
        assert states(self.client, changed, plan.record) == {"one": "changed", "two": "same"}
        assert states(self.client, "{}", plan.record) == {"one": "missing", "two": "missing"}
        assert states(self.client, None, plan.record) == {"one": "missing", "two": "missing"}

    def test_it_is_left_alone_when_servers_change_and_written_again_on_request(self) -> None:
        plan = connect(self.client, "{}\n", Record(), self.wanted)
        changed = (plan.text or "").replace("localhost/one", "elsewhere/one")
        three = {**self.wanted, "three": {"url": "http://localhost/three"}}

        kept = connect(self.client, changed, plan.record, three, repair=False)
        repaired = connect(self.client, kept.text, kept.record, three)

        assert states(self.client, kept.text, kept.record) == {
            "one": "changed",
            "two": "same",
            "three": "same",
        }
        assert entries(Format.JSONC, repaired.text or "", self.client.section) == three

    def test_an_entry_that_was_made_to_lead_elsewhere_is_not_removed(self) -> None:
        plan = connect(self.client, "{}\n", Record(), self.wanted)
        changed = (plan.text or "").replace("localhost/one", "elsewhere/one")

        back = disconnect(self.client, changed, plan.record)

        assert entries(Format.JSONC, back.text or "", self.client.section) == {
            "one": {"url": "http://elsewhere/one"}
        }
        assert list(back.record.entries) == ["one"]

    def test_a_member_that_the_client_added_goes_with_the_entry(self) -> None:
        plan = connect(self.client, "{}\n", Record(), {"one": {"url": "http://localhost/one"}})
        toggled = (plan.text or "").replace('"url"', '"disabled": true, "url"')

        back = disconnect(self.client, toggled, plan.record)

        assert back.text == "{}\n"


def test_a_difference_reads_like_a_patch() -> None:
    plan = connect(BY_ID["cursor"], '{"a": 1}', Record(), {"x": {"url": "http://y"}})

    assert difference("~/mcp.json", '{"a": 1}', plan.text) == (
        "--- ~/mcp.json\n+++ ~/mcp.json\n@@ -1 +1 @@\n"
        '-{"a": 1}\n\\ No newline at end of file\n'
        '+{"a": 1, "mcpServers": {"x": {"url": "http://y"}}}\n\\ No newline at end of file\n'
    )

"""Which names a client sees, and where they lead."""

from typing import Any

import pytest

from archestra_gateway.protocol import jsonrpc
from archestra_gateway.services.mcp_view import View, Visibility, fits, view
from archestra_gateway.upstreams.description import KINDS, Description, Item, Kind, from_text, to_text


EVERYTHING = Visibility()


def items(kind: Kind, *names: str) -> tuple[Item, ...]:
    member = KINDS[kind][1]
    return tuple(Item(name, jsonrpc.raw({member: name, "x": 1})) for name in names)


def described(**kinds: tuple[str, ...]) -> Description:
    return Description({}, "", {kind: items(kind, *kinds.get(kind, ())) for kind in KINDS})


def seen(visibility: Visibility = EVERYTHING, *, is_plain: bool = False, **servers: Description) -> View:
    return view(servers, {}, visibility, is_plain=is_plain, taken=frozenset({"get_context"}))


def test_a_tool_keeps_everything_but_its_name() -> None:
    shown = seen(files=described(tools=("read",))).lists["tools"][0]

    assert jsonrpc.encode(shown) == b'{"name":"files__read","x":1}'


def test_plain_names_are_for_those_who_are_alone() -> None:
    one = described(tools=("read", "write", "get_context", "a__b", "two words"))
    two = described(tools=("read",))

    names = set(seen(one=one, two=two, is_plain=True).tools)

    assert {"one__read", "two__read", "write", "one__get_context"} <= names
    assert {"read", "get_context", "a__b", "two words"}.isdisjoint(names)
    assert len(names) == 6


@pytest.mark.parametrize(
    ("visibility", "expected"),
    [
        (Visibility(), {"one__read", "one__write", "two__read"}),
        (Visibility(servers=frozenset({"one"})), {"one__read", "one__write"}),
        (Visibility(tools=frozenset({"*__read"})), {"one__read", "two__read"}),
        (Visibility(servers=frozenset(), tools=None), set()),
    ],
)
def test_a_client_sees_what_its_lists_allow(visibility: Visibility, expected: set[str]) -> None:
    both = {"one": described(tools=("read", "write")), "two": described(tools=("read",))}

    assert set(seen(visibility, **both).tools) == expected


def test_the_likeliest_owner_of_a_resource_comes_first() -> None:
    listing = described(resources=("file:///a",))
    fitting = described(resourceTemplates=("file:///{path}",))
    whole = view({"b": listing, "a": fitting}, {}, Visibility(), is_plain=False)

    assert whole.owners("file:///a") == ["b", "a"]
    assert whole.owners("file:///else") == ["a"]
    assert whole.owners("memory://1") == []


@pytest.mark.parametrize(
    ("uri", "template", "expected"),
    [
        ("test://template/5/data", "test://template/{id}/data", True),
        ("test://template/5/other", "test://template/{id}/data", False),
        ("db://x?limit=1", "db://{table}{?limit}", True),
        ("axb", "a.b", False),
    ],
)
def test_a_uri_fits_a_template(uri: str, template: str, expected: Any) -> None:
    assert fits(uri, template) is expected


def test_a_description_comes_back_from_the_database_as_it_was() -> None:
    strange = Item("odd", jsonrpc.decode(b'{"x":{"name":"odd","half":"\\ud83d","n":1.10}}')["x"])
    plain = described(prompts=("a",))
    whole = Description({"tools": {}}, "Be kind", {**plain.items, "tools": (strange,)})

    assert from_text(to_text(whole)) == whole

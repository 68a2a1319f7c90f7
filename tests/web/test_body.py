"""What a client sends is taken as it is or refused with the place: never converted, never dropped."""

import json
from enum import StrEnum
from typing import Any, Literal

import attrs
import pytest
from multidict import MultiDict

from archestra_gateway.errors import InvalidRequest, ValidationFailed
from archestra_gateway.web import strict
from archestra_gateway.web.body import parse


class Finish(StrEnum):
    MATT = "matt"
    GLOSSY = "glossy"


@attrs.frozen(kw_only=True)
class Oil:
    transport: Literal["oil"] = "oil"
    pigment: str


@attrs.frozen(kw_only=True)
class Water:
    transport: Literal["water"]
    litres: float


def _is_short(instance: Any, attribute: Any, value: str) -> None:
    if len(value) > 5:
        raise ValueError("`name` has at most 5 characters")


@attrs.frozen(kw_only=True)
class Order:
    name: str = attrs.field(validator=_is_short)
    count: int = 1
    price: float = 1.0
    gift: bool = False
    tags: list[str] = attrs.field(factory=list)
    labels: dict[str, str] = attrs.field(factory=dict)
    size: Literal["small", "large"] = "small"
    finish: Finish = Finish.MATT
    note: str | None = None
    paint: Oil | Water | None = None
    mixed: int | str | list[int] | None = None
    extra: Any = None


def test_what_fits_comes_through() -> None:
    sent = {
        "name": "red",
        "count": 2,
        "price": 3,
        "gift": True,
        "tags": ["a"],
        "labels": {"a": "b"},
        "size": "large",
        "finish": "glossy",
        "note": None,
        "paint": {"transport": "water", "litres": 1.5},
        "mixed": [1],
        "extra": {"x": [1]},
    }

    order = strict.structure(sent, Order)

    water = Water(transport="water", litres=1.5)
    converted = {"price": 3.0, "finish": Finish.GLOSSY, "paint": water}
    assert order == Order(**{**sent, **converted})  # type: ignore[arg-type]
    assert isinstance(order.price, float)


def test_a_tag_with_a_default_may_be_left_out() -> None:
    assert strict.structure({"name": "red", "paint": {"pigment": "ochre"}}, Order).paint == Oil(
        pigment="ochre"
    )


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"name": 5}, {"name": "`name` must be text, not a whole number"}),
        ({"name": None}, {"name": "`name` must be text, not null"}),
        ({"name": "scarlet"}, {"name": "`name` has at most 5 characters"}),
        ({"count": True}, {"count": "`count` must be a whole number, not true or false"}),
        ({"count": "2"}, {"count": "`count` must be a whole number, not text"}),
        ({"count": 2.0}, {"count": "`count` must be a whole number, not a number"}),
        ({"price": "2"}, {"price": "`price` must be a number, not text"}),
        ({"price": True}, {"price": "`price` must be a number, not true or false"}),
        ({"gift": 1}, {"gift": "`gift` must be true or false, not a whole number"}),
        ({"tags": "abc"}, {"tags": "`tags` must be a list, not text"}),
        ({"tags": ["a", 1]}, {"tags[1]": "`tags[1]` must be text, not a whole number"}),
        ({"labels": ["a"]}, {"labels": "`labels` must be an object, not a list"}),
        ({"labels": {"a": 1}}, {"labels.a": "`labels.a` must be text, not a whole number"}),
        ({"size": "huge"}, {"size": "`size` must be 'small' or 'large', not 'huge'"}),
        ({"size": ["small"]}, {"size": "`size` must be 'small' or 'large', not a list"}),
        ({"finish": "dull"}, {"finish": "`finish` must be 'matt' or 'glossy', not 'dull'"}),
        ({"note": 5}, {"note": "`note` must be text, not a whole number"}),
        ({"paint": "red"}, {"paint": "`paint` must be an object, not text"}),
        ({"paint": {"transport": "air"}},
         {"paint.transport": "`paint.transport` must be 'oil' or 'water', not 'air'"}),
        ({"paint": {"transport": "water"}}, {"paint.litres": "`paint.litres` is required"}),
        ({"paint": {"transport": "oil", "pigment": "x", "y": 1}},
         {"paint.y": "`paint.y` is not known here; known are: transport, pigment"}),
        ({"count": "2", "gift": 1},
         {"count": "`count` must be a whole number, not text",
          "gift": "`gift` must be true or false, not a whole number"}),
    ],
)  # fmt: skip
def test_what_does_not_fit_gets_one_sentence_a_field(changes: dict[str, Any], fields: dict[str, str]) -> None:
    with pytest.raises(ValidationFailed) as failure:
        strict.structure({"name": "red", **changes}, Order)

    assert failure.value.details == {"fields": fields}
    assert failure.value.message == "; ".join(fields.values())


@pytest.mark.parametrize("value", [[], "text", 5, None, True])
def test_a_body_is_an_object(value: Any) -> None:
    with pytest.raises(ValidationFailed, match="The body must be an object, not "):
        strict.structure(value, Order)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "The request has no body; send a JSON object"),
        (b'{"a": 1,\n "b": }', "invalid character at line 2, column 7"),
        (b'{"a":1,}', "trailing comma in object at line 1, column 8"),
        (b'{"a":1} x', "trailing characters at line 1, column 10"),
        (b'{"a"', "it ends in the middle, or in half a character"),
        (b'{"a":"x\xff"}', "The body is not UTF-8 at line 1, column 8"),
        (b'{"a":"\xed\xa0\x80"}', "The body is not UTF-8 at line 1, column 7"),
        (b'{"a":"\\ud800"}', "it ends in the middle, or in half a character"),
        (b'{"a":"\\udc00x"}', "invalid utf-16 surrogate pair at line 1, column 13"),
        (b'"\\ud800x"', "it ends in the middle, or in half a character"),
        (b"NaN", "invalid character at line 1, column 1"),
        (b"[" * 10_000 + b"]" * 10_000, "The body is nested too deeply"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "The body is nested too deeply"),
    ],
)
def test_what_is_no_json_is_told_where(data: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest) as failure:
        parse(data)

    assert message in failure.value.message


def test_whole_surrogate_pairs_are_characters() -> None:
    assert parse(b'"\\ud83d\\ude00"') == "😀"


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'{"colour":"red","coats":2}', 201),
        (b"", 400),
        (b"[" * 10_000 + b"]" * 10_000, 400),
        (b'{"colour":"\xff"}', 400),
        (b'{"colour":"\\ud800"}', 400),
        (b"[]", 422),
        (b'{"colour":5}', 422),
        (b'{"colour":"red","smell":"good"}', 422),
        (b'{"coats":2}', 422),
    ],
)
async def test_over_http(floor: Any, content: bytes, status: int) -> None:
    answer = await floor.ask("POST", "/api/paint", content)

    assert answer.status == status
    assert answer.code == {400: "INVALID_REQUEST", 422: "VALIDATION_FAILED"}[status] if status > 201 else True


@attrs.frozen(kw_only=True)
class Search:
    limit: int = 10
    newest: bool = False
    ratio: float = 0.5
    kind: Literal["oil", "water"] | None = None
    since: str | None = None
    name: list[str] = attrs.field(factory=list)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], Search()),
        ([("limit", "5"), ("newest", "true"), ("ratio", "0.25")], Search(limit=5, newest=True, ratio=0.25)),
        ([("newest", "1"), ("kind", "oil"), ("since", "5")], Search(newest=True, kind="oil", since="5")),
        ([("newest", "0"), ("name", "a"), ("name", "b")], Search(name=["a", "b"])),
    ],
)
def test_a_query_string_is_read_from_text(given: list[tuple[str, str]], expected: Search) -> None:
    assert strict.structure_query(MultiDict(given), Search) == expected


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ([("limit", "ten")], {"limit": "`limit` must be a whole number, not 'ten'"}),
        ([("limit", "")], {"limit": "`limit` must be a whole number, not ''"}),
        ([("limit", "1_0")], {"limit": "`limit` must be a whole number, not '1_0'"}),
        ([("limit", "٣")], {"limit": "`limit` must be a whole number, not '٣'"}),
        ([("limit", "9" * 50)], {"limit": "`limit` must be a whole number, not text"}),
        ([("newest", "yes")], {"newest": "`newest` must be true or false, not 'yes'"}),
        ([("ratio", "nan")], {"ratio": "`ratio` must be a number, not 'nan'"}),
        ([("kind", "air")], {"kind": "`kind` must be 'oil' or 'water', not 'air'"}),
        ([("limit", "1"), ("limit", "2")], {"limit": "`limit` is given more than once"}),
        ([("page", "1")],
         {"page": "`page` is not known here; known are: limit, newest, ratio, kind, since, name"}),
    ],
)  # fmt: skip
def test_a_query_string_that_does_not_fit(given: list[tuple[str, str]], fields: dict[str, str]) -> None:
    with pytest.raises(ValidationFailed) as failure:
        strict.structure_query(MultiDict(given), Search)

    assert failure.value.details == {"fields": fields}


def test_a_thousand_mistakes_are_explained_by_the_first() -> None:
    with pytest.raises(ValidationFailed) as failure:
        strict.structure({"name": "red", "tags": list(range(10_000))}, Order)

    assert len(failure.value.details["fields"]) == 50
    assert len(json.dumps(failure.value.body())) < 10_000

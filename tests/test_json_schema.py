"""Types as JSON Schema, by cases."""

import enum
from typing import Annotated, Any, Literal

import attrs
import pytest
from attrs import validators

from archestra_gateway.json_schema import Definitions, JsonSchema


@attrs.frozen
class Animal:
    """Something alive."""

    name: str
    legs: int = 4
    tags: list[str] = attrs.field(factory=list)
    parent: "Animal | None" = None


class Colour(enum.StrEnum):
    RED = "red"
    GREEN = "green"


@attrs.frozen
class Checked:
    short: str = attrs.field(validator=[validators.min_len(1), validators.max_len(3)])
    slug: str = attrs.field(validator=validators.matches_re("[a-z]+|x"))
    few: list[int] = attrs.field(validator=validators.max_len(3))
    share: float | None = attrs.field(default=None, validator=validators.optional(validators.ge(0)))
    order: str = attrs.field(default="up", validator=validators.in_(["up", "down"]))
    colour: Colour = Colour.RED
    noted: str = attrs.field(default="", metadata={"schema": {"description": "A note.", "examples": ["x"]}})


def schema(is_closed: bool = False) -> JsonSchema:
    return JsonSchema(Definitions("#/"), is_closed)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (str, {"type": "string"}),
        (bool, {"type": "boolean"}),
        (Any, {}),
        (dict, {"type": "object"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}),
        (str | None, {"type": ["string", "null"]}),
        (list[str] | None, {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]}),
        (Literal["http"], {"type": "string", "const": "http"}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (Literal["a", 1], {"enum": ["a", 1]}),
        (Annotated[int, "seconds"], {"type": "integer"}),
        (Colour, {"enum": ["red", "green"]}),
        (Animal, {"$ref": "#/Animal"}),
    ],
)
def test_a_type_has_a_schema(annotation: Any, expected: dict[str, Any]) -> None:
    assert schema().of(annotation) == expected


def test_a_class_that_holds_itself_is_described_once() -> None:
    made = schema()

    made.of(Animal)

    assert made.definitions.schemas == {
        "Animal": {
            "type": "object",
            "description": "Something alive.",
            "properties": {
                "name": {"type": "string"},
                "legs": {"type": "integer", "default": 4},
                "tags": {"type": "array", "items": {"type": "string"}},
                "parent": {"anyOf": [{"$ref": "#/Animal"}, {"type": "null"}]},
            },
            "required": ["name"],
        }
    }


def test_validators_and_metadata_are_told() -> None:
    assert schema(is_closed=True).of_class(Checked) == {
        "type": "object",
        "properties": {
            "short": {"type": "string", "minLength": 1, "maxLength": 3},
            "slug": {"type": "string", "pattern": "^(?:[a-z]+|x)$"},
            "few": {"type": "array", "items": {"type": "integer"}, "maxItems": 3},
            "share": {"type": ["number", "null"], "minimum": 0},
            "order": {"type": "string", "default": "up", "enum": ["up", "down"]},
            "colour": {"enum": ["red", "green"], "default": "red"},
            "noted": {"type": "string", "default": "", "description": "A note.", "examples": ["x"]},
        },
        "required": ["short", "slug", "few"],
        "additionalProperties": False,
    }


def test_two_classes_of_one_name_are_refused() -> None:
    made = schema()
    made.of(Animal)

    with pytest.raises(TypeError, match="Two classes are called Animal"):
        made.of(attrs.make_class("Animal", ["name"]))


@pytest.mark.parametrize("annotation", [bytes, complex, set[str]])
def test_what_json_does_not_have_is_refused(annotation: Any) -> None:
    with pytest.raises(TypeError, match="There is no JSON Schema for"):
        schema().of(annotation)

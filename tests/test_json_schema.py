"""Types as JSON Schema, by cases."""

import enum
from typing import Annotated, Any, Literal

import attrs
import pytest

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
class Noted:
    colour: Colour = Colour.RED
    size: int = attrs.field(default=1, metadata={"schema": {"minimum": 1, "description": "In metres."}})


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
        (Colour, {"type": "string", "enum": ["red", "green"]}),
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


def test_a_closed_class_allows_no_other_members_and_metadata_is_told() -> None:
    assert schema(is_closed=True).of_class(Noted) == {
        "type": "object",
        "properties": {
            "colour": {"type": "string", "enum": ["red", "green"], "default": "red"},
            "size": {"type": "integer", "default": 1, "minimum": 1, "description": "In metres."},
        },
        "required": [],
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

"""Types as JSON Schema 2020-12: attrs classes and the annotations of their fields. Pure."""

import enum
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import attrs

Json = dict[str, Any]

SCALARS: Mapping[Any, Json] = {
    Any: {},
    object: {},
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    dict: {"type": "object"},
    list: {"type": "array"},
    types.NoneType: {"type": "null"},
}


class Definitions:
    """The classes that were met, each once under its own name. Raises TypeError when two share one."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.schemas: dict[str, Json] = {}
        self._classes: dict[str, type] = {}

    def reference(self, cls: type, make: Callable[[type], Json]) -> Json:
        name = cls.__name__
        if self._classes.setdefault(name, cls) is not cls:
            raise TypeError(f"Two classes are called {name}: one in {cls.__module__}; rename one of them")
        if name not in self.schemas:
            self.schemas[name] = {}  # so that a class that holds itself finds its name taken
            self.schemas[name] = make(cls)
        return {"$ref": self.prefix + name}


@attrs.frozen
class JsonSchema:
    """Makes schemas of types. The classes of a `is_closed` one allow no members but their own,
    unless they say `IS_OPEN`.

    A field's `metadata={"schema": {…}}` adds what its type can not say: a description, bounds, a pattern.
    """

    definitions: Definitions
    is_closed: bool

    def of(self, annotation: Any) -> Json:
        """A class becomes a `$ref`. Raises TypeError for what JSON does not have."""
        if get_origin(annotation) is not None or isinstance(annotation, types.UnionType):
            return self._of_generic(annotation)
        if annotation in SCALARS:
            return dict(SCALARS[annotation])
        if isinstance(annotation, type) and attrs.has(annotation):
            return self.definitions.reference(annotation, self.of_class)
        if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
            return one_of([member.value for member in annotation])
        raise TypeError(f"There is no JSON Schema for {annotation!r}")

    def of_class(self, cls: type) -> Json:
        """The schema in place; the classes of its fields are references."""
        attrs.resolve_types(cls)
        fields: Sequence[attrs.Attribute[Any]] = attrs.fields(cls)
        schema: Json = {"type": "object"} | described(cls)
        schema["properties"] = {field.name: self.of_field(field) for field in fields}
        schema["required"] = [field.name for field in fields if field.default is attrs.NOTHING]
        return schema | (
            {"additionalProperties": False} if self.is_closed and not getattr(cls, "IS_OPEN", False) else {}
        )

    def of_field(self, field: "attrs.Attribute[Any]") -> Json:
        own: Json = field.metadata.get("schema", {})
        return self.of(field.type) | default(field) | own

    def _of_generic(self, annotation: Any) -> Json:
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            return self.of(arguments[0])
        if origin is Literal:
            return one_of(arguments)
        if origin in (Union, types.UnionType):
            return any_of([self.of(argument) for argument in arguments])
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.of(arguments[1])}
        if isinstance(origin, type) and issubclass(origin, Sequence):
            return {"type": "array", "items": self.of(arguments[0])}
        raise TypeError(f"There is no JSON Schema for {annotation!r}")


def described(cls: type) -> Json:
    """The class's own docstring; neither an inherited one nor one that attrs made."""
    text = cls.__dict__.get("__doc__")
    return {"description": inspect.cleandoc(text)} if text else {}


def default(field: "attrs.Attribute[Any]") -> Json:
    """What a field is when it is left out; None means that nothing is told, which its type says already."""
    value: Any = field.default
    if value is attrs.NOTHING or value is None or isinstance(value, attrs.Factory):  # type: ignore[arg-type]
        return {}
    return {"default": value.value if isinstance(value, enum.Enum) else value}


def one_of(values: Sequence[Any]) -> Json:
    """With its type, because generators make a poor `unknown` of a bare enum."""
    kinds = {type(value) for value in values}
    kind = SCALARS[kinds.pop()] if len(kinds) == 1 else {}
    return kind | ({"const": values[0]} if len(values) == 1 else {"enum": list(values)})


def any_of(schemas: Sequence[Json]) -> Json:
    """`{"type": ["string", "null"]}` where that says it all, which people read more easily."""
    if all(schema.keys() == {"type"} for schema in schemas):
        return {"type": [schema["type"] for schema in schemas]}
    return {"anyOf": list(schemas)}

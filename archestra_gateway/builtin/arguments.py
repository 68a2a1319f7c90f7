"""Whether a tool's arguments fit its input schema: the few words of JSON Schema that our own tools use."""

from collections.abc import Mapping
from typing import Any

JSON_TYPES: Mapping[str, type] = {"string": str, "integer": int, "boolean": bool}


def complaints(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[str]:
    """One sentence for each thing that does not fit; none means that everything does."""
    properties = schema["properties"]
    missing = [f"{name} is missing." for name in schema["required"] if name not in arguments]
    unknown = [
        f"{name} is not known here; there are {', '.join(properties)}."
        for name in arguments
        if name not in properties
    ]
    wrong = [
        f"{name} {complaint}."
        for name, value in arguments.items()
        if name in properties and (complaint := _complaint(properties[name], value))
    ]
    return missing + unknown + wrong


def _complaint(schema: Mapping[str, Any], value: Any) -> str | None:
    if type(value) is not JSON_TYPES[schema["type"]]:
        return f"must be of type {schema['type']}"
    if "enum" in schema and value not in schema["enum"]:
        return f"must be one of {', '.join(schema['enum'])}"
    if value < schema.get("minimum", value):
        return f"must be at least {schema['minimum']}"
    if value > schema.get("maximum", value):
        return f"must be at most {schema['maximum']}"
    return None

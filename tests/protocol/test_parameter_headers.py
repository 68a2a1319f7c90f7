"""Headers that repeat arguments."""

from typing import Any

import pytest

from archestra_gateway.protocol.modern import HeaderMismatch
from archestra_gateway.protocol.parameter_headers import check, wanted


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


REGION = schema(
    region={"type": "string", "x-mcp-header": "Region"},
    inner=schema(count={"type": "integer", "x-mcp-header": "Count"}),
    flag={"type": "boolean", "x-mcp-header": "Flag"},
)


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        ({}, {}),
        ({"region": None}, {}),
        ({"region": "eu"}, {"region": ("eu",)}),
        ({"region": "grün"}, {"region": ("=?base64?Z3LDvG4=?=",)}),
        ({"inner": {"count": 42}}, {"count": ("42.0",)}),
        ({"flag": True}, {"flag": ("true",)}),
        ({}, {"unknown": ("x",)}),
    ],
)
def test_what_agrees_passes(arguments: Any, headers: dict[str, tuple[str, ...]]) -> None:
    check(wanted(REGION), arguments, {f"mcp-param-{name}": values for name, values in headers.items()})


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        ({"region": "eu"}, {}),
        ({}, {"region": ("eu",)}),
        ({"region": "eu"}, {"region": ("us",)}),
        ({"region": "eu"}, {"region": ("eu", "eu")}),
        ({"region": "eu"}, {"region": ("=?base64?!?=",)}),
        ({"inner": {"count": 42}}, {"count": ("43",)}),
        ({"flag": True}, {"flag": ("True",)}),
        ("nonsense", {"flag": ("true",)}),
    ],
)
def test_what_contradicts_is_refused(arguments: Any, headers: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(HeaderMismatch):
        check(wanted(REGION), arguments, {f"mcp-param-{name}": values for name, values in headers.items()})


@pytest.mark.parametrize(
    "odd",
    [
        None,
        schema(a={"type": "number", "x-mcp-header": "A"}),
        schema(a={"type": "string", "x-mcp-header": "two words"}),
        schema(a={"type": "string", "x-mcp-header": "A"}, b={"type": "string", "x-mcp-header": "a"}),
    ],
)
def test_a_schema_that_can_not_be_asks_for_nothing(odd: Any) -> None:
    assert wanted(odd) == []

"""The promise of the OpenAPI document: what generators and the docs page read."""

from typing import Any, Literal

import attrs
from aiohttp import web
from openapi_spec_validator import validate

from archestra_gateway import openapi
from archestra_gateway.router import ROUTES
from archestra_gateway.web.envelope import STATUS
from archestra_gateway.web.route import Route


@attrs.frozen
class Wheel:
    """Round."""

    size: int


@attrs.frozen
class CreateCar:
    """A car to be built."""

    name: str
    wheels: list[Wheel] = attrs.field(factory=list)


@attrs.frozen
class Car:
    name: str
    wheels: list[Wheel]


@attrs.frozen
class CarQuery:
    """Cars that fit."""

    page: int = attrs.field(default=1, metadata={"schema": {"description": "Counted from 1."}})
    order: Literal["up", "down"] = "up"


async def handler(request: web.Request) -> web.Response:
    """Do something.

    Slowly.
    """
    raise NotImplementedError


ROWS = (
    Route("GET", "/api/car", handler, "car.list", query=CarQuery, gives=list[Car]),
    Route("POST", "/api/car", handler, "car.create", "Build a car", takes=CreateCar, gives=Car, status=201),
    Route("DELETE", "/api/car/{name:[a-z]{1,64}}", handler, "car.delete", status=204),
    Route("GET", "/api/car/{name}/log", handler, "car.log", media_type="text/event-stream"),
    Route("POST", "/mcp_proxy/{server}", handler, "mcp_proxy.send", carrier="jsonrpc"),
    Route("GET", "/api/docs", handler, "docs.page", media_type="text/html"),
    Route("*", "/llm/{provider}/{path:.*}", handler, "llm.pass_on", carrier="llm"),
)


def document() -> dict[str, Any]:
    return openapi.build(ROWS, "1.2.3", "http://localhost:54587")


def operation(method: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = document()["paths"][path][method]
    return found


def test_the_document_is_valid() -> None:
    validate(document())


def test_an_operation_has_the_name_that_generators_make_a_method_of() -> None:
    assert operation("get", "/api/car") == {
        "operationId": "car.list",
        "tags": ["car"],
        "summary": "Do something",
        "description": "Slowly.\n\nCars that fit.",
        "parameters": [
            {
                "name": "page",
                "in": "query",
                "required": False,
                "schema": {"type": "integer", "default": 1},
                "description": "Counted from 1.",
            },
            {
                "name": "order",
                "in": "query",
                "required": False,
                "schema": {"type": "string", "enum": ["up", "down"], "default": "up"},
            },
        ],
        "responses": {
            "200": {
                "description": "OK",
                "content": {
                    "application/json": {
                        "schema": {"type": "array", "items": {"$ref": "#/components/schemas/Car"}}
                    }
                },
            },
            "default": {"$ref": "#/components/responses/ErrorEnvelope"},
        },
    }


def test_a_body_stands_in_place_and_an_answer_is_a_reference() -> None:
    create = operation("post", "/api/car")

    assert create["summary"] == "Build a car"
    assert create["requestBody"]["content"]["application/json"]["schema"] == {
        "type": "object",
        "description": "A car to be built.",
        "properties": {
            "name": {"type": "string"},
            "wheels": {"type": "array", "items": {"$ref": "#/components/schemas/Wheel"}},
        },
        "required": ["name"],
        "additionalProperties": False,
    }
    assert create["responses"]["201"]["content"] == {
        "application/json": {"schema": {"$ref": "#/components/schemas/Car"}}
    }


def test_what_is_sent_allows_no_other_members_and_what_is_given_does() -> None:
    schemas = document()["components"]["schemas"]

    assert "additionalProperties" not in schemas["Car"]
    assert schemas["Wheel"]["additionalProperties"] is False


def test_a_path_parameter_keeps_its_pattern_and_loses_aiohttps_spelling() -> None:
    delete = operation("delete", "/api/car/{name}")

    assert delete["parameters"] == [
        {
            "name": "name",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": "^[a-z]{1,64}$"},
        }
    ]
    assert delete["responses"]["204"] == {"description": "No Content"}


def test_a_stream_is_text_and_mcp_is_json() -> None:
    log, send = operation("get", "/api/car/{name}/log"), operation("post", "/mcp_proxy/{server}")

    assert log["responses"]["200"]["content"] == {"text/event-stream": {"schema": {"type": "string"}}}
    assert send["requestBody"]["content"]["application/json"]["schema"]["type"] == "object"
    assert [parameter["name"] for parameter in send["parameters"]] == ["server", "Mcp-Session-Id"]
    assert send["responses"]["default"] == {"$ref": "#/components/responses/JsonRpcError"}


def test_pages_and_relays_are_not_operations() -> None:
    assert not [path for path in document()["paths"] if path.startswith(("/llm", "/api/docs"))]


def test_every_error_code_is_listed() -> None:
    error = document()["components"]["schemas"]["ErrorEnvelope"]["properties"]["error"]

    assert error["properties"]["code"]["enum"] == list(STATUS)
    assert error["required"] == ["code", "message"]


def test_our_own_surface_is_valid_and_every_operation_says_what_it_does() -> None:
    ours = openapi.build(ROUTES, "1.2.3", "http://localhost:54587")

    operations = [operation for path in ours["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]

    validate(ours)
    assert len(set(names)) == len(names)
    assert [operation["operationId"] for operation in operations if not operation.get("summary")] == []

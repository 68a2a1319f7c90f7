"""The OpenAPI 3.1 document of the route table. Pure."""

import inspect
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import attrs
import msgspec

from archestra_gateway.json_schema import Definitions, Json, JsonSchema, described
from archestra_gateway.openapi_parts import (
    DESCRIPTION,
    ERROR_SCHEMAS,
    JSONRPC_ANSWER,
    JSONRPC_REQUEST,
    SESSION,
)
from archestra_gateway.web.route import Route

PARAMETER = re.compile(r"{(\w+)(?::((?:[^{}]|{[^{}]*})+))?}")
"""aiohttp's `{name}` and `{name:regex}`; the regex may hold `{1,64}`."""


def build(routes: Iterable[Route], version: str, base_url: str) -> Json:
    listed = [route for route in routes if is_operation(route)]
    operations = _Operations(Definitions("#/components/schemas/"))
    return {
        "openapi": "3.1.0",
        "info": {"title": "Archestra Gateway", "version": version, "description": DESCRIPTION},
        "servers": [{"url": base_url}],
        "security": [{}, {"bearer": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(_tag(route) for route in listed)],
        "paths": operations.paths(listed),
        "components": {
            "schemas": dict(sorted(operations.definitions.schemas.items())) | ERROR_SCHEMAS,
            "responses": {
                name: _answer("An error.", {"$ref": f"#/components/schemas/{name}"}) for name in ERROR_SCHEMAS
            },
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def is_operation(route: Route) -> bool:
    """Not a browser's page and its files; nor a relay, whose any method and path OpenAPI can not express."""
    return route.method != "*" and route.media_type not in ("text/html", "*/*")


def encoded(routes: Iterable[Route], version: str, base_url: str) -> bytes:
    """As it is sent, with indentation: people read it too."""
    return msgspec.json.format(msgspec.json.encode(build(routes, version, base_url)), indent=2)


@attrs.frozen
class _Operations:
    """Turns rows into operations; what they have in common is collected in `definitions`."""

    definitions: Definitions

    def paths(self, routes: Iterable[Route]) -> Json:
        """Requests come first: a class both sent and given is described as strictly as what is sent."""
        routes = list(routes)
        requests = [self._request(route) for route in routes]
        paths: dict[str, Json] = {}
        for route, request in zip(routes, requests, strict=True):
            operation = _heading(route) | request | {"responses": self._responses(route)}
            paths.setdefault(PARAMETER.sub(r"{\1}", route.path), {})[route.method.lower()] = operation
        return paths

    def _request(self, route: Route) -> Json:
        request: Json = {}
        headers = [SESSION] if route.carrier == "jsonrpc" else []
        if parameters := [*_path_parameters(route.path), *self._query_parameters(route.query), *headers]:
            request["parameters"] = parameters
        body = self._body(route)
        if route.carrier == "file":
            content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
            request["requestBody"] = {"required": True, "content": content}
        if body is not None:
            request["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
        return request

    def _body(self, route: Route) -> Json | None:
        """In place: generators make `create({name, config})` of it, of a reference `create({body: {…}})`."""
        if route.takes is not None:
            return JsonSchema(self.definitions, is_closed=True).of_class(route.takes)
        return JSONRPC_REQUEST if route.carrier == "jsonrpc" and route.method == "POST" else None

    def _query_parameters(self, query: type | None) -> Iterable[Json]:
        if query is None:
            return
        schema = JsonSchema(self.definitions, is_closed=True).of_class(query)
        for name, value in schema["properties"].items():
            description = {key: value.pop(key) for key in ("description",) if key in value}
            is_required = name in schema["required"]
            yield {"name": name, "in": "query", "required": is_required, "schema": value} | description

    def _responses(self, route: Route) -> Json:
        words = HTTPStatus(route.status).phrase
        error = "JsonRpcError" if route.carrier == "jsonrpc" else "ErrorEnvelope"
        failure = {"$ref": f"#/components/responses/{error}"}
        return {str(route.status): self._success(route, words), "default": failure}

    def _success(self, route: Route, words: str) -> Json:
        if route.status == HTTPStatus.NO_CONTENT:
            return {"description": words}
        if route.gives is not None:
            schema = JsonSchema(self.definitions, is_closed=False).of(route.gives)
        elif route.carrier == "jsonrpc":
            schema = JSONRPC_ANSWER
        else:
            schema = {} if route.media_type == "application/json" else {"type": "string"}
        return _answer(words, schema, route.media_type)


def _tag(route: Route) -> str:
    return route.operation.partition(".")[0]


def _heading(route: Route) -> Json:
    """The row's summary, or else its handler's docstring; what is said about the query as a whole follows."""
    first, _, rest = (inspect.getdoc(route.handler) or "").partition("\n")
    about = [rest.strip(), *_docs(route.query)]
    texts = {"summary": route.summary or first.rstrip("."), "description": "\n\n".join(filter(None, about))}
    heading: Json = {"operationId": route.operation, "tags": [_tag(route)]}
    return heading | {key: text for key, text in texts.items() if text}


def _docs(query: type | None) -> Iterable[str]:
    """A query that adds to another one adds its words too."""
    for cls in reversed(query.__mro__ if query else ()):
        if attrs.has(cls):
            yield described(cls).get("description", "")


def _path_parameters(path: str) -> Iterable[Json]:
    for name, pattern in PARAMETER.findall(path):
        schema: Json = {"type": "string"} | ({"pattern": f"^{pattern}$"} if pattern else {})
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _answer(description: str, schema: Any, media_type: str = "application/json") -> Json:
    return {"description": description, "content": {media_type: {"schema": schema}}}

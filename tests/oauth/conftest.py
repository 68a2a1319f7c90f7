"""A protected MCP server and the authorization server it names, on real ports; a person with a browser."""

import hashlib
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
import attrs
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from archestra_gateway.app import create_app
from archestra_gateway.config import Config
from archestra_gateway.web.connection import Runner

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("read", "write")]


@attrs.define
class World:
    """What the servers do is in its fields; what they were asked is in its lists."""

    metadata: dict[str, Any] = attrs.field(factory=dict)
    resource: dict[str, Any] = attrs.field(factory=dict)
    challenge: str | None = None
    lifetime: float = 3600
    rotates: bool = True
    refreshes: bool = True
    adds: dict[str, str] = attrs.field(factory=dict)
    token_error: tuple[int, dict[str, Any]] | None = None
    always_insufficient: bool = False
    answers: dict[str, Handler] = attrs.field(factory=dict)
    asked: list[str] = attrs.field(factory=list)
    registered: list[dict[str, Any]] = attrs.field(factory=list)
    token_requests: list[dict[str, str]] = attrs.field(factory=list)
    revoked: list[dict[str, str]] = attrs.field(factory=list)
    seen: list[str] = attrs.field(factory=list)
    codes: dict[str, dict[str, str]] = attrs.field(factory=dict)
    access: dict[str, set[str]] = attrs.field(factory=dict)
    refresh: dict[str, str] = attrs.field(factory=dict)
    mcp: str = ""
    issuer: str = ""

    async def protected(self, request: web.Request) -> web.Response:
        self.seen.append(request.headers.get("Authorization", ""))
        scopes = self.access.get(self.seen[-1].removeprefix("Bearer "))
        if scopes is None:
            named = f"{self.mcp.removesuffix('/mcp')}/.well-known/oauth-protected-resource/mcp"
            challenge = self.challenge or f'Bearer realm="x", resource_metadata="{named}", scope="read"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        message = await request.json()
        if "id" not in message:
            return web.Response(status=202)
        method, params = message["method"], message.get("params", {})
        if method == "initialize":
            info = {"name": "protected", "version": "1"}
            result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
        elif method == "tools/list":
            result = {"tools": TOOLS}
        elif params["name"] == "write" and ("write" not in scopes or self.always_insufficient):
            needs = 'Bearer error="insufficient_scope", scope="write"'
            return web.Response(status=403, headers={"WWW-Authenticate": needs})
        else:
            result = {"content": [{"type": "text", "text": f"did {params['name']}"}]}
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": result})

    async def describe_resource(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        described = {
            "resource": self.mcp,
            "authorization_servers": [self.issuer],
            "scopes_supported": ["read", "write"],
        }
        return web.json_response({**described, **self.resource})

    async def describe(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        metadata = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "registration_endpoint": f"{self.issuer}/register",
            "revocation_endpoint": f"{self.issuer}/revoke",
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": True,
            **self.metadata,
        }
        return web.json_response({name: value for name, value in metadata.items() if value is not None})

    async def register(self, request: web.Request) -> web.Response:
        self.registered.append(await request.json())
        client_id = f"client-{len(self.registered)}"
        return web.json_response({**self.registered[-1], "client_id": client_id}, status=201)

    async def authorize(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        back = {"code": code, "state": query["state"], "iss": self.issuer, **self.adds}
        back = {name: value for name, value in back.items() if value}
        raise web.HTTPFound(f"{query['redirect_uri']}?{urlencode(back)}")

    async def token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.token_requests.append({**form, "authorization": request.headers.get("Authorization", "")})
        if self.token_error is not None:
            status, data = self.token_error
            return web.json_response(data, status=status)
        if form["grant_type"] == "refresh_token":
            scope = self.refresh.get(form["refresh_token"])
            if scope is None:
                return web.json_response({"error": "invalid_grant"}, status=400)
            if self.rotates:
                del self.refresh[form["refresh_token"]]
        else:
            asked = self.codes.pop(form["code"], None)
            digest = hashlib.sha256(form["code_verifier"].encode()).digest()
            fits = asked and asked["code_challenge"] == urlsafe_b64encode(digest).decode().rstrip("=")
            if not asked or not fits or form["redirect_uri"] != asked["redirect_uri"]:
                return web.json_response({"error": "invalid_grant"}, status=400)
            scope = asked.get("scope", "")
        access, refresh = f"access-{secrets.token_urlsafe(16)}", f"refresh-{secrets.token_urlsafe(16)}"
        self.access[access] = set(scope.split())
        answer = {"access_token": access, "token_type": "Bearer", "expires_in": self.lifetime, "scope": scope}
        if self.refreshes and (self.rotates or form["grant_type"] == "authorization_code"):
            self.refresh[refresh] = scope
            answer["refresh_token"] = refresh
        return web.json_response(answer)

    async def revoke(self, request: web.Request) -> web.Response:
        self.revoked.append({name: str(value) for name, value in (await request.post()).items()})
        self.refresh.clear()
        self.access.clear()
        return web.Response()


async def missing(request: web.Request) -> web.StreamResponse:
    raise web.HTTPNotFound


@asynccontextmanager
async def opened() -> AsyncIterator[World]:
    made = World()

    @web.middleware
    async def instead(request: web.Request, handler: Handler) -> web.StreamResponse:
        """An answer that a test wants in place of the honest one."""
        return await made.answers.get(request.path, handler)(request)

    resource, issuer = web.Application(middlewares=[instead]), web.Application(middlewares=[instead])
    resource.router.add_route("*", "/mcp", made.protected)
    resource.router.add_get("/.well-known/oauth-protected-resource/mcp", made.describe_resource)
    issuer.router.add_get("/.well-known/oauth-authorization-server", made.describe)
    issuer.router.add_get("/.well-known/openid-configuration", missing)
    issuer.router.add_get("/authorize", made.authorize)
    issuer.router.add_post("/register", made.register)
    issuer.router.add_post("/token", made.token)
    issuer.router.add_post("/revoke", made.revoke)
    async with TestServer(resource) as one, TestServer(issuer) as two:
        made.mcp, made.issuer = str(one.make_url("/mcp")), str(two.make_url("")).rstrip("/")
        yield made


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as made:
        yield made


@pytest.fixture
async def other_world() -> AsyncIterator[World]:
    """A server of somebody else, with its own authorization server."""
    async with opened() as made:
        yield made


@attrs.frozen
class Person:
    """Clicks in the frontend, and consents in the browser."""

    client: TestClient[web.Request, web.Application]
    world: World

    async def install(self, name: str = "remote", url: str = "", **config: Any) -> None:
        config = {"transport": "http", "url": url or self.world.mcp, **config}
        answer = await self.client.post("/api/mcp_server", json={"name": name, "server_config": config})
        assert answer.status == 201, await answer.text()

    async def click(self, name: str = "remote") -> dict[str, Any]:
        """The answer of start_oauth, with its status."""
        answer = await self.client.post("/api/mcp_server/start_oauth", json={"name": name})
        return {"status": answer.status, **(await answer.json())}

    async def consent(self, auth_url: str) -> dict[str, str]:
        """What the authorization server sends back with the browser."""
        async with aiohttp.ClientSession() as browser:
            answer = await browser.get(auth_url, allow_redirects=False)
            assert answer.status == 302, await answer.text()
            return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))

    async def come_back(self, query: dict[str, str]) -> tuple[int, str]:
        """The page after the redirect."""
        headers = {"Sec-Fetch-Site": "cross-site"}
        answer = await self.client.get("/oauth/callback", params=query, headers=headers)
        return answer.status, await answer.text()

    async def log_in(self, name: str = "remote") -> tuple[int, str]:
        started = await self.click(name)
        assert started["status"] == 200, started
        return await self.come_back(await self.consent(started["auth_url"]))

    async def call(self, tool: str = "read", name: str = "remote") -> dict[str, Any]:
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}}
        answer = await self.client.post(f"/mcp_proxy/{name}", json=message)
        data: dict[str, Any] = await answer.json()
        return data

    async def does(self, tool: str = "read", name: str = "remote") -> str:
        answer = await self.call(tool, name)
        assert "result" in answer, answer
        text: str = answer["result"]["content"][0]["text"]
        return text

    async def status(self, name: str = "remote") -> dict[str, Any]:
        status: dict[str, Any] = (await (await self.client.get(f"/api/mcp_server/{name}")).json())["status"]
        return status


@pytest.fixture
def person(client: TestClient[web.Request, web.Application], world: World) -> Person:
    return Person(client, world)


@pytest.fixture
def person_at(world: World) -> Callable[[TestClient[web.Request, web.Application]], Person]:
    """For a gateway that is started again."""
    return lambda client: Person(client, world)


class GatewayServer(TestServer):
    async def _make_runner(self, **kwargs: object) -> web.BaseRunner:
        return Runner(self.app)


@pytest.fixture
def gateway() -> Callable[[Config], TestClient[web.Request, web.Application]]:
    """`async with gateway(config) as client`, as often as a test wants to start it again."""
    return lambda config: TestClient(GatewayServer(create_app(config, os.environ)))

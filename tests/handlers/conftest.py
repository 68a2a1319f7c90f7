"""The MCP part of the gateway on a real port, with fake MCP servers behind it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from archestra_gateway import keys
from archestra_gateway.config import Config, McpConfig, ServerConfig
from archestra_gateway.handlers import mcp_proxy, mcp_server
from archestra_gateway.log import Redactor
from archestra_gateway.schemas.mcp_server import (
    CreateMcpServer,
    FollowLogs,
    McpServer,
    ServerLogs,
    ServerTools,
    UpdateMcpServer,
)
from archestra_gateway.services.mcp_proxy import open_mcp_proxy
from archestra_gateway.services.mcp_request_log import RequestLog
from archestra_gateway.services.mcp_server import open_mcp_servers
from archestra_gateway.store.database import open_database
from archestra_gateway.web import envelope, route
from archestra_gateway.web.connection import Runner
from archestra_gateway.web.route import Route

FAKE = Path(__file__).parent.parent / "fakes" / "mcp_child.py"
SERVER = "/api/mcp_server/{name}"
PROXY = "/mcp_proxy/{server}"

ROWS = (
    Route("GET", "/api/mcp_server", mcp_server.list_all, "mcp_server.list", gives=list[McpServer]),
    Route("POST", "/api/mcp_server", mcp_server.create, "mcp_server.create", takes=CreateMcpServer),
    Route("GET", SERVER, mcp_server.get, "mcp_server.get"),
    Route("PUT", SERVER, mcp_server.update, "mcp_server.update", takes=UpdateMcpServer),
    Route("DELETE", SERVER, mcp_server.delete, "mcp_server.delete", status=204),
    Route("POST", f"{SERVER}/start", mcp_server.start, "mcp_server.start"),
    Route("POST", f"{SERVER}/stop", mcp_server.stop, "mcp_server.stop"),
    Route("POST", f"{SERVER}/restart", mcp_server.restart, "mcp_server.restart"),
    Route("GET", f"{SERVER}/tools", mcp_server.tools, "mcp_server.tools", gives=ServerTools),
    Route("GET", f"{SERVER}/logs", mcp_server.logs, "mcp_server.logs", query=FollowLogs, gives=ServerLogs),
    Route("POST", PROXY, mcp_proxy.post, "mcp_proxy.post", carrier="jsonrpc"),
    Route("GET", PROXY, mcp_proxy.get, "mcp_proxy.get", carrier="jsonrpc", media_type="text/event-stream"),
    Route("DELETE", PROXY, mcp_proxy.delete, "mcp_proxy.delete", carrier="jsonrpc", status=204),
)


@pytest.fixture
def mcp() -> McpConfig:
    return McpConfig(start_timeout=10, request_timeout=10)


@pytest.fixture
def gateway_app(tmp_path: Path, mcp: McpConfig) -> web.Application:
    config = Config(server=ServerConfig(port=0, data_dir=tmp_path / "data"), mcp=mcp)
    app = web.Application(middlewares=[envelope.errors])
    app[keys.CONFIG] = config
    app[keys.STOPPING] = asyncio.Event()
    route.install(app, ROWS)

    async def opened(app: web.Application) -> AsyncIterator[None]:
        redactor = Redactor()
        async with open_database(tmp_path / "gateway.db") as database:
            request_log = RequestLog(database, redactor, config.request_log)
            environment = {**os.environ, "SHELL": "/bin/sh"}
            async with (
                request_log.running(),
                open_mcp_servers(config, database, redactor, environment) as servers,
                open_mcp_proxy(servers) as proxy,
            ):
                app[keys.REQUEST_LOG] = request_log
                app[keys.MCP_SERVERS] = servers
                app[keys.MCP_PROXY] = proxy
                yield

    async def stop(app: web.Application) -> None:
        app[keys.STOPPING].set()

    app.on_shutdown.append(stop)
    app.cleanup_ctx.append(opened)
    return app


class OurServer(TestServer):
    async def _make_runner(self, **kwargs: object) -> web.BaseRunner:
        return Runner(self.app)


@pytest.fixture
async def http(gateway_app: web.Application) -> AsyncIterator[TestClient]:
    async with TestClient(OurServer(gateway_app)) as client:
        yield client


def fake_config(*flags: str, **more: Any) -> dict[str, Any]:
    args = ["-S", "-E", str(FAKE), *flags]
    return {"transport": "stdio", "command": sys.executable, "args": args, **more}


@pytest.fixture
def fake() -> Callable[..., dict[str, Any]]:
    """fake("--crash") → the configuration of a server that crashes."""
    return fake_config


@pytest.fixture
async def files(http: TestClient) -> str:
    """A fake server that is there, and has not been started."""
    await add(http, "files", fake_config())
    return "files"


async def add(http: TestClient, name: str, config: dict[str, Any]) -> dict[str, Any]:
    answer = await http.post("/api/mcp_server", json={"name": name, "server_config": config})
    assert answer.status == 201, await answer.text()
    return dict(await answer.json())


@pytest.fixture
def install(http: TestClient) -> Callable[..., Any]:
    """await install("name", fake("--crash"))"""
    return lambda name, config: add(http, name, config)


@attrs.frozen
class McpSession:
    """A client's session, by hand."""

    http: TestClient
    server: str
    id: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Mcp-Session-Id": self.id, "Accept": "application/json, text/event-stream"}

    async def post(self, message: dict[str, Any], **headers: str) -> Any:
        return await self.http.post(
            f"/mcp_proxy/{self.server}",
            json={"jsonrpc": "2.0", **message},
            headers={**self.headers, **headers},
        )

    def call(self, name: str, identifier: Any = 1, **arguments: Any) -> Any:
        params = {"name": name, "arguments": arguments}
        return self.post({"id": identifier, "method": "tools/call", "params": params})

    async def stream(self) -> Any:
        answer = await self.http.get(f"/mcp_proxy/{self.server}", headers=self.headers)
        assert answer.status == 200
        return events(answer)


async def events(answer: Any) -> AsyncIterator[dict[str, Any]]:
    """The messages of an event stream."""
    assert answer.content_type == "text/event-stream"
    async for line in answer.content:
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


@pytest.fixture
def read_events() -> Callable[..., Any]:
    return events


@pytest.fixture
def open_session(http: TestClient) -> Callable[..., Any]:
    """session = await open_session("files")"""

    async def opened(server: str, name: str = "test") -> McpSession:
        client = {"name": name, "version": "1.2"}
        params = {"protocolVersion": "2025-11-25", "capabilities": {"sampling": {}}, "clientInfo": client}
        message = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
        answer = await http.post(f"/mcp_proxy/{server}", json=message)
        assert answer.status == 200, await answer.text()
        assert (await answer.json())["result"]["serverInfo"]["name"] == "fake"
        session = McpSession(http, server, answer.headers["Mcp-Session-Id"])
        assert (await session.post({"method": "notifications/initialized"})).status == 202
        return session

    return opened

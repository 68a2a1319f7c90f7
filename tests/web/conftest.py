"""A small application of a few rows behind the real floor: envelope, guard, CORS and our own connections."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.config import Config, McpConfig, ServerConfig
from archestra_gateway.errors import Conflict, InternalError, RateLimited
from archestra_gateway.web import body, compress, cors, envelope, guard, route
from archestra_gateway.web.connection import Runner
from archestra_gateway.web.route import Route
from archestra_gateway.web.sse import EventStream

TOKEN = "t0ken-" + "x" * 32
LARGE = [{"name": f"number {number}"} for number in range(1000)]
PAGE = b"<!doctype html>" + b"<p>hello</p>" * 1000


@attrs.frozen(kw_only=True)
class Paint:
    colour: str
    coats: int = 1


@attrs.frozen(kw_only=True)
class Listing:
    limit: int = 10
    newest: bool = False
    kind: Literal["oil", "water"] | None = None
    name: list[str] = attrs.field(factory=list)


async def paint(request: web.Request) -> web.StreamResponse:
    wanted = await body.read(request, Paint)
    return envelope.json(attrs.asdict(wanted), status=201)


async def listing(request: web.Request) -> web.StreamResponse:
    return envelope.json(attrs.asdict(body.query(request, Listing)))


async def large(request: web.Request) -> web.StreamResponse:
    return envelope.json(LARGE)


async def page(request: web.Request) -> web.StreamResponse:
    return compress.static(request, PAGE, "text/html", compress.etag(PAGE))


async def fail(request: web.Request) -> web.StreamResponse:
    if request.query_string == "conflict":
        raise Conflict("There is one already", name="one")
    if request.query_string == "later":
        raise RateLimited("Too many requests")
    if request.query_string == "aiohttp":
        raise web.HTTPRequestEntityTooLarge(max_size=1)
    raise RuntimeError("a secret of ours")


async def call(request: web.Request) -> web.StreamResponse:
    message = await body.raw(request, request.app[keys.CONFIG].mcp.max_body)
    if message == b'{"fail":true}':
        raise InternalError
    return envelope.json({"bytes": len(message)})


async def relay(request: web.Request) -> web.StreamResponse:
    content = await body.raw(request, 0)
    return web.Response(body=content, content_type=request.content_type)


async def stream(request: web.Request) -> web.StreamResponse:
    async with EventStream(request, keep_alive=0.05) as events:
        await events.send(b'{"n":1}')
        match request.query_string:
            case "fail":
                raise Conflict("There is one already")
            case "crash":
                raise RuntimeError("a secret of ours")
            case "wait":
                await asyncio.Event().wait()
            case "flood":
                while True:
                    await events.send(b"x" * 1_000_000)
    return events.response


async def broken(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"the beginning")
    raise RuntimeError("in the middle")


async def socket(request: web.Request) -> web.StreamResponse:
    response = web.WebSocketResponse()
    await response.prepare(request)
    await response.send_str("hello")
    await response.close()
    return response


ROUTES = (
    Route("GET", "/api/paint", listing, "paint.list", query=Listing),
    Route("POST", "/api/paint", paint, "paint.create", takes=Paint, status=201),
    Route("POST", "/api/admin", paint, "admin.create", takes=Paint, administration=True),
    Route("DELETE", "/api/admin", listing, "admin.delete", administration=True),
    Route("GET", "/api/large", large, "large.list"),
    Route("GET", "/api/page", page, "page.get"),
    Route("GET", "/api/fail", fail, "fail.get"),
    Route("GET", "/api/broken", broken, "broken.get"),
    Route("GET", "/api/stream", stream, "stream.get", media_type="text/event-stream"),
    Route("GET", "/api/socket", socket, "socket.get"),
    Route("GET", "/oauth/callback", listing, "oauth.callback"),
    Route("POST", "/mcp_proxy/{server}", call, "mcp_proxy.call", carrier="jsonrpc"),
    Route("*", "/llm/{provider}/{path:.*}", relay, "llm.relay", carrier="llm"),
)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(
        server=ServerConfig(
            port=0, data_dir=tmp_path, max_body=100_000, header_timeout=0.4, body_timeout=0.4
        ),
        mcp=McpConfig(max_body=200_000),
    )


def build(config: Config) -> web.Application:
    app = web.Application(middlewares=[envelope.errors, guard.guard])
    app[keys.CONFIG] = config
    app[keys.TOKEN] = TOKEN
    app[keys.STOPPING] = asyncio.Event()

    async def stop(app: web.Application) -> None:
        app[keys.STOPPING].set()

    app.on_shutdown.append(stop)
    route.install(app, ROUTES)
    guard.install(app)
    cors.install(app)
    return app


@attrs.frozen
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@attrs.frozen
class Floor:
    """A running application and a client that says exactly what it is told, byte for byte."""

    runner: Runner
    port: int

    @contextlib.asynccontextmanager
    async def connect(
        self, host: str = "127.0.0.1"
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection(host, self.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def say(self, request: bytes) -> Answer:
        """One answer to raw bytes, on a connection of its own."""
        async with self.connect() as (reader, writer):
            writer.write(request)
            return await read_answer(reader, has_body=not request.startswith(b"HEAD "))

    async def ask(
        self, method: str, target: str, content: bytes | None = None, /, **headers: str | list[str] | None
    ) -> Answer:
        """Header names are written with `_`; None leaves out what would be sent by itself, a list repeats."""
        sent: dict[str, str | list[str] | None] = {"Host": f"localhost:{self.port}", "Connection": "close"}
        if content is not None:
            sent |= {"Content_Type": "application/json", "Content_Length": str(len(content))}
        sent |= headers
        lines = [f"{method} {target} HTTP/1.1"]
        for name, values in sent.items():
            for value in [values] if isinstance(values, str) else values or []:
                lines.append(f"{name.replace('_', '-')}: {value}")
        head = "\r\n".join([*lines, "", ""])
        return await self.say(head.encode("utf-8", "surrogateescape") + (content or b""))


async def read_answer(reader: asyncio.StreamReader, *, has_body: bool = True) -> Answer:
    async with asyncio.timeout(10):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {}
        for line in filter(None, head[1:]):
            name, _, value = line.partition(": ")
            assert name.lower() not in headers, f"{name} is there twice"
            headers[name.lower()] = value
        if not has_body:
            content = b""
        elif "content-length" in headers:
            content = await reader.readexactly(int(headers["content-length"]))
        elif headers.get("transfer-encoding") == "chunked":
            content = await read_chunks(reader)
        else:
            content = b""
    return Answer(int(head[0].split(" ")[1]), headers, content)


async def read_chunks(reader: asyncio.StreamReader) -> bytes:
    """Raises IncompleteReadError when the payload does not end as it should."""
    content = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        content += (await reader.readexactly(size + 2))[:-2]
    assert await reader.readexactly(2) == b"\r\n"
    return content


Serve = Callable[[Config], "contextlib.AbstractAsyncContextManager[Floor]"]


@contextlib.asynccontextmanager
async def serving(config: Config) -> AsyncIterator[Floor]:
    runner = Runner(build(config))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield Floor(runner, site.port)
    finally:
        await runner.cleanup()


@pytest.fixture
def serve() -> Serve:
    """For tests with a configuration of their own."""
    return serving


@pytest.fixture
async def floor(config: Config) -> AsyncIterator[Floor]:
    async with serving(config) as running:
        yield running

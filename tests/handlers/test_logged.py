"""What an HTTP request tells the request log."""

import time
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.test_utils import TestClient

from archestra_gateway.services.mcp_request_log import Entry
from archestra_gateway.web import logged


async def test_an_entry_begins_with_what_the_request_says(
    app: web.Application, serve: Callable[[web.Application], Awaitable[TestClient]]
) -> None:
    entries: list[Entry] = []

    @web.middleware
    async def handle(request: web.Request, handler: object) -> web.Response:
        entries.append(logged.begin(request, "llm", "ollama"))
        return web.Response()

    app.middlewares.append(handle)
    client = await serve(app)
    headers = {
        "User-Agent": "curl/8",
        "X-Client-Name": "cli",
        "X-Client-Version": "1.2",
        "X-Client-Platform": "linux",
        "X-Session-Id": "s",
        "Mcp-Session-Id": "m",
    }
    before = time.time()
    await client.post("/llm/ollama/api/chat?key=hidden", headers=headers)

    (entry,) = entries
    assert (entry.kind, entry.server_name) == ("llm", "ollama")
    assert (entry.session_id, entry.mcp_session_id) == ("s", "m")
    assert entry.method == "POST /llm/ollama/api/chat"
    assert entry.client_info == {
        "user_agent": "curl/8",
        "client_name": "cli",
        "client_version": "1.2",
        "client_platform": "linux",
    }
    assert entry.request_headers["x-client-name"] == "cli"
    assert before <= entry.timestamp <= time.time()

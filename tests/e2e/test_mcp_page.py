"""The TypeScript SDK's MCP clients in a page in a real browser, which keeps what CORS does not allow."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

CHILD = Path(__file__).parent.parent / "fakes" / "mcp_child.py"
Browse = Callable[..., Awaitable[tuple[Any, list[str]]]]


@pytest.fixture
async def files(client: TestClient) -> None:
    child = {"transport": "stdio", "command": sys.executable, "args": ["-S", "-E", str(CHILD)]}
    answer = await client.post("/api/mcp_server", json={"name": "files", "server_config": child})
    assert answer.status == 201


def asked(client: TestClient, path: str, era: str) -> dict[str, str]:
    prefix = "files__" if path == "/mcp" else ""
    tools = {"tool": f"{prefix}echo", "change": f"{prefix}change_tools"}
    return {"era": era, "url": str(client.make_url(path)), **tools}


@pytest.mark.parametrize("path", ["/mcp", "/mcp_proxy/files"])
@pytest.mark.parametrize(
    ("era", "methods"), [("session", {"POST", "GET", "DELETE"}), ("2026-07-28", {"POST"})]
)
async def test_a_page_lists_calls_listens_and_ends(
    client: TestClient, files: None, browse: Browse, path: str, era: str, methods: set[str]
) -> None:
    wanted = asked(client, path, era)

    seen, complaints = await browse("mcp_stories.mjs", "used", **wanted)

    assert (seen.get("error"), complaints) == (None, []), seen
    assert wanted["tool"] in seen["tools"]
    assert seen["said"] == "hello"
    assert {exchange["method"] for exchange in seen["exchanges"]} == methods
    assert {exchange["status"] for exchange in seen["exchanges"]} <= {200, 202, 204}
    assert all("x-request-id" in exchange["exposed"] for exchange in seen["exchanges"])


@pytest.mark.parametrize("path", ["/mcp", "/mcp_proxy/files"])
@pytest.mark.parametrize("era", ["session", "2026-07-28"])
async def test_a_foreign_page_gets_nowhere(
    client: TestClient, files: None, browse: Browse, path: str, era: str
) -> None:
    seen, _ = await browse("mcp_stories.mjs", "used", host="foreign.example", **asked(client, path, era))

    assert "error" in seen
    assert {exchange["status"] for exchange in seen["exchanges"]} == {403}
    server = await (await client.get("/api/mcp_server/files")).json()
    assert server["status"]["state"] == "stopped"

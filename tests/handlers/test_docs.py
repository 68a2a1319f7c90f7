"""The documentation as a program reads it, and as a person sees it in a real browser."""

import asyncio
import re
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient
from openapi_spec_validator import validate

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=20000",
)
HARMLESS = "Warning: escaping deep link whitespace"
"""swagger-ui's word on an underscore in a tag."""


async def test_the_document_is_valid_and_names_operations(client: TestClient) -> None:
    answer = await client.get("/api/openapi.json")

    document = await answer.json()

    validate(document)
    assert document["openapi"] == "3.1.0"
    assert document["paths"]["/api/mcp_server"]["get"]["operationId"] == "mcp_server.list"


@pytest.mark.parametrize("path", ["/api/openapi.json", "/api/docs", "/api/docs/swagger-ui-bundle.js"])
async def test_what_a_client_has_is_not_sent_again(client: TestClient, path: str) -> None:
    first = await client.get(path)
    second = await client.get(path, headers={"If-None-Match": first.headers["ETag"]})

    assert (first.status, second.status) == (200, 304)
    assert await second.read() == b""


@pytest.mark.parametrize(
    ("asset", "content_type"),
    [
        ("page.js", "text/javascript; charset=utf-8"),
        ("page.css", "text/css; charset=utf-8"),
        ("swagger-ui.css", "text/css; charset=utf-8"),
        ("favicon-32x32.png", "image/png"),
    ],
)
async def test_the_page_has_its_files(client: TestClient, asset: str, content_type: str) -> None:
    answer = await client.get(f"/api/docs/{asset}")

    assert answer.status == 200
    assert answer.headers["Content-Type"] == content_type
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "asset", ["swagger-editor-bundle.js", "LICENSE", "..%2F__init__.py", "%2Fetc%2Fpasswd"]
)
async def test_no_other_file_is_given_away(client: TestClient, asset: str) -> None:
    answer = await client.get(f"/api/docs/{asset}")

    assert answer.status == 404


async def test_the_page_may_talk_to_nobody_else(client: TestClient) -> None:
    policy = (await client.get("/api/docs")).headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy
    assert "http" not in policy


async def test_a_browser_shows_the_operations_and_has_nothing_to_complain_about(
    client: TestClient, chromium: str, tmp_path: Path
) -> None:
    address = str(client.make_url("/api/docs"))
    document = await (await client.get("/api/openapi.json")).json()
    operations = {
        operation["operationId"] for path in document["paths"].values() for operation in path.values()
    }

    page, complaints = await browse(chromium, address, tmp_path)

    assert operations <= set(re.findall(r"[a-z_]+\.[a-z_]+", page))
    assert complaints == []


async def browse(chromium: str, address: str, profile: Path) -> tuple[str, list[str]]:
    """The page as it stands in the end, and what the console says; only 127.0.0.1 can be reached."""
    browser = await asyncio.create_subprocess_exec(
        chromium,
        *FLAGS,
        f"--user-data-dir={profile / 'browser'}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--dump-dom",
        address,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(90):
        page, logged = await browser.communicate()
    console = [line for line in logged.decode().splitlines() if "CONSOLE" in line]
    return page.decode(), [line for line in console if HARMLESS not in line]

"""What a browser may read: the same headers on every answer there is."""

from typing import Any

import pytest

CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, POST, PUT, DELETE, OPTIONS",
    "x-content-type-options": "nosniff",
}
LOCAL = "http://localhost:3000"


@pytest.mark.parametrize("origin", [None, LOCAL, "tauri://localhost"])
@pytest.mark.parametrize(
    ("method", "target", "content", "status"),
    [
        ("GET", "/api/paint", None, 200),
        ("HEAD", "/api/paint", None, 200),
        ("POST", "/api/paint", b'{"colour":"red"}', 201),
        ("GET", "/api/stream", None, 200),
        ("GET", "/nowhere", None, 404),
        ("PUT", "/api/paint", None, 405),
        ("POST", "/api/paint", b" " * 100_001, 413),
        ("POST", "/api/paint", b"{", 400),
        ("POST", "/api/paint", b"{}", 422),
        ("GET", "/api/fail", None, 500),
        ("GET", "/llm/ollama/api/tags", None, 200),
        ("POST", "/mcp_proxy/files", b"{}", 200),
        ("OPTIONS", "/api/paint", None, 204),
        ("OPTIONS", "/nowhere", None, 204),
        ("OPTIONS", "/llm/ollama/x", None, 204),
        ("OPTIONS", "*", None, 204),
    ],
)  # fmt: skip
async def test_every_answer_carries_the_headers(
    floor: Any, method: str, target: str, content: bytes | None, status: int, origin: str | None
) -> None:
    answer = await floor.ask(method, target, content, Origin=origin)

    assert answer.status == status
    assert {name: answer.headers.get(name) for name in CORS} == CORS
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert {"content-type", "authorization", "mcp-session-id"} <= set(allowed.split(", "))
    exposed = answer.headers["access-control-expose-headers"]
    assert exposed == "Mcp-Session-Id, x-vercel-ai-ui-message-stream, X-Request-Id, ETag, Retry-After"
    assert "access-control-allow-credentials" not in answer.headers
    assert len(answer.headers["x-request-id"]) == 32


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}])
async def test_a_refusal_can_be_read_by_the_page_that_got_it(floor: Any, headers: dict[str, str]) -> None:
    answer = await floor.ask("GET", "/api/paint", **headers)

    assert answer.headers["access-control-allow-origin"] == "*"


async def test_a_preflight_is_answered_with_what_it_asks_for(floor: Any) -> None:
    answer = await floor.ask(
        "OPTIONS",
        "/llm/openai/v1/x",
        Origin=LOCAL,
        Access_Control_Request_Method="PATCH",
        Access_Control_Request_Headers="x-stainless-os,x-client-name",
    )

    assert answer.status == 204
    assert answer.headers["access-control-allow-methods"].endswith(", PATCH")
    assert answer.headers["access-control-allow-headers"].endswith(", x-stainless-os,x-client-name")


@pytest.mark.parametrize("junk", ["x y", "a;b", "*\x0b", "é", "a,,b"])
async def test_a_preflight_echoes_nothing_but_names(floor: Any, junk: str) -> None:
    answer = await floor.ask(
        "OPTIONS", "/api/paint", Access_Control_Request_Headers=junk, Access_Control_Request_Method=junk
    )

    assert junk not in "".join(answer.headers.values())


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("tauri://localhost", "true"),
        (LOCAL, "true"),
        ("https://evil.example", None),
        ("null", None),
        (None, None),
        (["tauri://localhost", "https://evil.example"], None),
    ],
)
async def test_the_private_network_opens_only_to_origins_that_may_come_in(
    floor: Any, origin: str | list[str] | None, allowed: str | None
) -> None:
    answer = await floor.ask(
        "OPTIONS", "/api/paint", Origin=origin, Access_Control_Request_Private_Network="true"
    )

    assert answer.status == 204
    assert answer.headers.get("access-control-allow-private-network") == allowed


async def test_the_private_network_is_not_mentioned_unasked(floor: Any) -> None:
    answer = await floor.ask("OPTIONS", "/api/paint", Origin="tauri://localhost")

    assert "access-control-allow-private-network" not in answer.headers

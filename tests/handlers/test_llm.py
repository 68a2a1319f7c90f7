"""`/llm/{provider}`: a real little provider behind the real gateway."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from aiohttp import ClientPayloadError, ClientSession, web
from aiohttp.test_utils import TestClient

from archestra_gateway import keys
from archestra_gateway.config import Config, LlmConfig, OllamaConfig, ServerConfig

FAKE = Path(__file__).parent.parent / "fakes" / "llm_provider.py"
CHAT = {"model": "fake", "messages": [{"role": "user", "content": "Hi"}]}
WHOLE = "Hello from the fake."

Client = TestClient[web.Request, web.Application]


@attrs.define
class Provider:
    """The fake as a process; it says what happens to it."""

    port: int
    events: asyncio.StreamReader

    async def says(self, event: str) -> None:
        async with asyncio.timeout(10):
            while (await self.events.readline()).decode().strip() != event:
                assert not self.events.at_eof()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    process = await asyncio.create_subprocess_exec(sys.executable, str(FAKE), stdout=PIPE)
    assert process.stdout is not None
    port = int((await process.stdout.readline()).split()[1])
    yield Provider(port, process.stdout)
    process.kill()
    await process.wait()


@pytest.fixture
def config(tmp_path: Path, provider: Provider) -> Config:
    return Config(
        server=ServerConfig(port=0, data_dir=tmp_path / "data"),
        llm=LlmConfig(read_timeout=5, ollama=OllamaConfig(url=f"http://127.0.0.1:{provider.port}")),
    )


async def log_row(client: Client, request_id: str) -> dict[str, Any]:
    """The row is written when the stream has ended, which its client may see a moment earlier."""
    async with asyncio.timeout(5):
        while True:
            page = await client.app[keys.REQUEST_LOG].list_page({}, 100)
            for row in page["data"]:
                if row["request_id"] == request_id:
                    return await client.app[keys.REQUEST_LOG].get(request_id)
            await asyncio.sleep(0.01)


async def test_an_answer_streams_through_and_is_logged(client: Client) -> None:
    answer = await client.post("/llm/ollama/api/chat?x=1", json=CHAT)
    rows = [json.loads(line) for line in (await answer.text()).splitlines()]

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert "".join(row["message"]["content"] for row in rows) == WHOLE
    row = await log_row(client, answer.headers["X-Request-Id"])
    assert (row["kind"], row["server_name"], row["method"]) == ("llm", "ollama", "POST /api/chat")
    assert (row["status_code"], row["error_message"]) == (200, None)
    assert json.loads(row["request_body"]) == CHAT
    assert row["response_body"].count("\n") == 6


async def test_the_first_chunk_is_passed_on_while_the_second_is_not_even_made(client: Client) -> None:
    answer = await client.post("/llm/ollama/api/chat", json=CHAT, headers={"X-Fake-Stall": "1"})

    async with asyncio.timeout(5):
        first = json.loads(await answer.content.readline())

    assert first["message"]["content"] == "Hello"
    answer.close()


async def test_a_client_that_leaves_is_heard_upstream_at_once(client: Client, provider: Provider) -> None:
    answer = await client.post("/llm/ollama/api/chat", json=CHAT, headers={"X-Fake-Stall": "1"})
    await answer.content.readline()

    answer.close()

    await provider.says("left")
    row = await log_row(client, answer.headers["X-Request-Id"])
    assert (row["status_code"], row["error_message"]) == (200, "The client left before the end of the answer")


async def test_a_client_that_leaves_before_the_answer_is_heard_too(
    client: Client, provider: Provider
) -> None:
    asking = asyncio.create_task(client.post("/llm/ollama/upload", data=b"x", headers={"X-Fake-Slow": "30"}))
    await provider.says("opened")

    asking.cancel()

    async with asyncio.timeout(5):
        while not (await client.app[keys.REQUEST_LOG].list_page({}, 1))["data"]:
            await asyncio.sleep(0.01)


async def test_an_upstream_that_breaks_is_never_a_tidy_end(client: Client) -> None:
    answer = await client.post("/llm/ollama/api/chat", json=CHAT, headers={"X-Fake-Break": "2"})

    with pytest.raises(ClientPayloadError):
        await answer.read()

    row = await log_row(client, answer.headers["X-Request-Id"])
    assert "closed the connection before its answer was complete" in row["error_message"]


async def test_an_upstream_that_breaks_before_it_answers_is_a_502(client: Client) -> None:
    answer = await client.get("/llm/ollama/huge", headers={"X-Fake-Huge": "100000"})

    assert (answer.status, (await answer.json())["error"]["code"]) == (502, "UPSTREAM_ERROR")
    row = await log_row(client, answer.headers["X-Request-Id"])
    assert (row["status_code"], "headers of more than" in row["error_message"]) == (502, True)


async def test_silence_is_a_504(client: Client, config: Config) -> None:
    answer = await client.post("/llm/ollama/upload", data=b"x", headers={"X-Fake-Slow": "30"})

    assert (answer.status, (await answer.json())["error"]["code"]) == (504, "UPSTREAM_TIMEOUT")


async def test_a_stop_of_the_gateway_breaks_the_streams_that_run(client: Client) -> None:
    answer = await client.post("/llm/ollama/api/chat", json=CHAT, headers={"X-Fake-Stall": "1"})
    await answer.content.readline()

    async with asyncio.timeout(4):
        await client.server.close()

    with pytest.raises(ClientPayloadError):
        await answer.read()


async def test_an_error_of_the_provider_passes_untouched(client: Client) -> None:
    missing = await client.post("/llm/ollama/api/chat", json={**CHAT, "model": "missing"})
    crashed = await client.post("/llm/ollama/api/chat", json={**CHAT, "model": "crashes"})

    assert (missing.status, await missing.json()) == (404, {"error": "model 'missing' not found"})
    assert (await crashed.text()).splitlines()[-1] == '{"error": "llama runner process has terminated"}'
    assert (await log_row(client, missing.headers["X-Request-Id"]))["status_code"] == 404


@pytest.mark.parametrize("status", [400, 401, 418, 429, 500, 503])
async def test_every_status_passes(client: Client, status: int) -> None:
    answer = await client.get("/llm/ollama/echo", headers={"X-Fake-Status": str(status)})

    assert answer.status == status
    assert (await answer.json())["target"] == "/echo"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
async def test_every_method_passes_with_its_body(client: Client, method: str) -> None:
    answer = await client.request(method, "/llm/ollama/any/thing", data=b'{"a": 1}')

    received = await answer.json()
    assert (received["method"], received["target"], received["body"]) == (method, "/any/thing", '{"a": 1}')


async def test_head_has_a_length_and_no_body(client: Client) -> None:
    for digest, status in {"sha256:known": 200, "sha256:unknown": 404}.items():
        answer = await client.head(f"/llm/ollama/api/blobs/{digest}")

        assert (answer.status, await answer.read()) == (status, b"")


async def test_path_and_query_pass_byte_for_byte(client: Client) -> None:
    target = "/v1/models/meta%2Fllama%3A8b/a+b%20c/@x?q=%2F..%2F&&empty=&u=%C3%A9+http://evil"

    received = await raw(
        client, f"GET /llm/ollama{target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )

    assert json.loads(received.partition("\r\n\r\n")[2])["target"] == target


@pytest.mark.parametrize(
    "path",
    [
        "/llm/ollama/../api/llm_provider",
        "/llm/ollama/%2e%2e/api",
        "/llm/ollama/a/.%2E/b",
        "/llm/ollama/a/%2E%2e%2fb",
        "/llm/ollama/a%5c..%5cb",
        "/llm/ollama//evil.example/x",
        "/llm/ollama/http://evil.example/",
        "/llm/ollama/@evil.example/",
        "/llm/%6fllama/api/tags",
    ],
)
async def test_path_games_are_refused_in_plain_words(client: Client, path: str) -> None:
    answer = await raw(client, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")

    assert answer.startswith("HTTP/1.1 400")
    assert "INVALID_REQUEST" in answer


@pytest.mark.parametrize("name", ["nobody", "ollama@evil.example", "evil.example:80"])
async def test_a_name_that_is_not_in_the_table_is_nowhere(client: Client, name: str) -> None:
    answer = await client.get(f"/llm/{name}/api/tags")

    assert answer.status in (400, 404)


async def raw(client: Client, request: str) -> str:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(request.encode())
    answer = await reader.read()
    writer.close()
    return answer.decode()


async def test_only_what_concerns_the_provider_reaches_it(client: Client, provider: Provider) -> None:
    token = client.app[keys.TOKEN]
    sent = {
        "Origin": "http://localhost:3000",
        "Referer": "http://localhost:3000/secret",
        "Cookie": "a=b",
        "Sec-Fetch-Site": "same-origin",
        "Authorization": f"Bearer {token}",
        "Proxy-Authorization": "Basic x",
        "Connection": "keep-alive, X-Hop",
        "X-Hop": "1",
        "TE": "trailers",
        "X-Kept": "1",
        "Accept-Encoding": "br;q=1.0",
        "User-Agent": "mine/1.0",
    }

    received = await (await client.get("/llm/ollama/echo", headers=sent)).json()

    headers = {name.lower(): value for name, value in received["headers"]}
    assert headers == {
        "host": f"127.0.0.1:{provider.port}",
        "x-kept": "1",
        "accept": "*/*",
        "accept-encoding": "br;q=1.0",
        "user-agent": "mine/1.0",
    }


async def test_a_provider_sets_nothing_for_the_gateways_origin(client: Client) -> None:
    answer = await client.get("/llm/ollama/echo")

    assert answer.headers["X-Provider"] == "yes"
    assert "Set-Cookie" not in answer.headers
    assert answer.headers.getall("Access-Control-Allow-Origin") == ["*"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_a_compressed_answer_passes_as_it_is(client: Client) -> None:
    async with ClientSession(auto_decompress=False) as session:
        answer = await session.get(client.make_url("/llm/ollama/gzip"), headers={"Accept-Encoding": "gzip"})

        assert answer.headers["Content-Encoding"] == "gzip"
        assert (await answer.read()).startswith(b"\x1f\x8b")


async def test_small_requests_share_their_connections(client: Client) -> None:
    peers = set()

    async def ask() -> None:
        for _ in range(100):
            received = await (await client.post("/llm/ollama/echo", json=CHAT)).json()
            peers.add(tuple(received["peer"]))

    await asyncio.gather(*(ask() for _ in range(10)))

    assert len(peers) <= 10


async def test_a_hundred_megabytes_stream_up(client: Client) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield bytes(1 << 20)

    answer = await client.post("/llm/ollama/api/blobs/sha256:new", data=body())

    assert await answer.json() == {"size": 100 << 20}
    row = await log_row(client, answer.headers["X-Request-Id"])
    assert row["request_body_truncated"]


async def test_an_upstream_waits_for_a_client_that_does_not_read(client: Client, provider: Provider) -> None:
    reader, writer = await asyncio.open_connection(client.host, client.port, limit=1 << 16)
    writer.write(
        b"GET /llm/ollama/flood?megabytes=100 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    await provider.says("wrote 1")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await provider.says("wrote 50")

    size = 0
    while chunk := await reader.read(1 << 20):
        size += len(chunk)
    writer.close()

    assert size > 100 << 20


async def test_expect_is_answered_by_the_gateway(client: Client) -> None:
    answer = await client.post("/llm/ollama/upload", data=b"x" * 200_000, expect100=True)

    assert await answer.json() == {"size": 200_000}


async def test_a_provider_that_can_not_be_reached_is_a_503_that_says_what_to_do(client: Client) -> None:
    await client.post(
        "/api/llm_provider", json={"name": "gone", "kind": "openai", "base_url": "http://127.0.0.1:9"}
    )

    answer = await client.get("/llm/gone/v1/models")

    assert answer.status == 503
    assert (await answer.json())["error"] == {
        "code": "UPSTREAM_UNAVAILABLE",
        "message": "The provider gone can not be reached at http://127.0.0.1:9. "
        "Check its base_url and the network",
        "details": {"provider": "gone"},
    }

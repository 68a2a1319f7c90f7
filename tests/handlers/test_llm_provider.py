"""`/api/llm_provider`: a key goes in and never comes out."""

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from archestra_gateway import keys

Client = TestClient[web.Request, web.Application]

KEY = "sk-very-secret-key"
WANTED = {"name": "openai", "kind": "openai", "api_key": KEY}


async def test_ollama_is_there_from_the_start(client: Client) -> None:
    answer = await client.get("/api/llm_provider")

    assert [shown for shown in await answer.json() if shown["name"] != "embedded"] == [
        {
            "name": "ollama",
            "kind": "ollama",
            "base_url": "http://127.0.0.1:11434",
            "has_key": False,
            "is_builtin": True,
            "created_at": None,
            "updated_at": None,
        }
    ]


async def test_a_key_is_stored_and_never_shown(client: Client) -> None:
    created = await client.post("/api/llm_provider", json=WANTED)
    text = await created.text() + await (await client.get("/api/llm_provider")).text()
    shown = await (await client.get("/api/llm_provider/openai")).json()

    assert created.status == 201
    assert (shown["base_url"], shown["has_key"]) == ("https://api.openai.com", True)
    assert KEY not in text
    assert client.app[keys.LLM_PROVIDERS].get("openai").api_key == KEY
    assert client.app[keys.REDACTOR].text(f"key={KEY}") == "key=[redacted]"


async def test_a_name_can_be_used_once(client: Client) -> None:
    await client.post("/api/llm_provider", json=WANTED)

    again = await client.post("/api/llm_provider", json=WANTED)
    builtin = await client.post("/api/llm_provider", json={**WANTED, "name": "ollama"})

    assert (again.status, builtin.status) == (409, 409)


async def test_a_change_keeps_what_it_does_not_name(client: Client) -> None:
    await client.post("/api/llm_provider", json=WANTED)

    moved = await client.put("/api/llm_provider/openai", json={"base_url": "https://eu.example/v1/"})
    keyless = await client.put("/api/llm_provider/openai", json={"api_key": ""})

    assert ((await moved.json())["base_url"], (await moved.json())["has_key"]) == (
        "https://eu.example/v1",
        True,
    )
    assert ((await keyless.json())["base_url"], (await keyless.json())["has_key"]) == (
        "https://eu.example/v1",
        False,
    )
    assert client.app[keys.REDACTOR].text(KEY) == KEY


async def test_what_is_deleted_is_gone(client: Client) -> None:
    await client.post("/api/llm_provider", json=WANTED)

    assert (await client.delete("/api/llm_provider/openai")).status == 204
    assert (await client.delete("/api/llm_provider/openai")).status == 404
    assert (await client.get("/api/llm_provider/openai")).status == 404
    assert (await client.get("/llm/openai/v1/models")).status == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_the_builtin_one_is_changed_in_the_configuration(client: Client, method: str) -> None:
    answer = await client.request(method, "/api/llm_provider/ollama", json={})

    assert answer.status == 409
    assert "llm.ollama" in (await answer.json())["error"]["message"]


@pytest.mark.parametrize(
    "change",
    [
        {"name": "a/b"},
        {"kind": "unknown"},
        {"base_url": "ftp://a"},
        {"base_url": "https://user:password@a"},
        {"base_url": "https://a/?q"},
        {"base_url": "https://a/#f"},
        {"base_url": "https://a/../b"},
        {"base_url": "https://a:99999"},
        {"base_url": "https://"},
        {"base_url": "http://a.example"},
        {"api_key": "two\r\nlines"},
        {"colour": "blue"},
    ],
)
async def test_what_does_not_fit_is_refused(client: Client, change: dict[str, Any]) -> None:
    answer = await client.post("/api/llm_provider", json={**WANTED, **change})

    assert answer.status == 422, await answer.text()
    assert KEY not in await answer.text()


@pytest.mark.parametrize(
    "base_url", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "https://a.example"]
)
async def test_a_key_travels_encrypted_or_not_at_all(client: Client, base_url: str) -> None:
    answer = await client.post("/api/llm_provider", json={**WANTED, "base_url": base_url})

    assert answer.status == 201


async def test_without_a_key_plain_http_in_the_house_is_fine(client: Client) -> None:
    wanted = {"name": "big-box", "kind": "ollama", "base_url": "http://192.168.1.5:11434"}

    assert (await client.post("/api/llm_provider", json=wanted)).status == 201
    assert (await client.put("/api/llm_provider/big-box", json={"api_key": KEY})).status == 422

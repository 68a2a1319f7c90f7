"""`/api/secret`: a value goes in, servers get it, and nobody else sees it again."""

import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from archestra_gateway import keys

Client = TestClient[web.Request, web.Application]

VALUE = "canary-of-a-named-secret"


async def create(client: Client, name: str = "GH", value: str = VALUE) -> Any:
    return await client.post("/api/secret", json={"name": name, "value": value})


async def environment(client: Client) -> dict[str, str]:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "environment"}}
    answer = await (await client.post("/mcp_proxy/one", json=message)).json()
    assert "result" in answer, answer
    found: dict[str, str] = json.loads(answer["result"]["content"][0]["text"])["env"]
    return found


async def test_a_secret_is_stored_and_never_shown(client: Client) -> None:
    created = await create(client)
    shown = await created.json()
    texts = [await (await client.get(path)).text() for path in ("/api/secret", "/api/secret/GH")]

    assert created.status == 201
    assert shown | {"created_at": "", "updated_at": ""} == {
        "name": "GH",
        "reference": "${secret:GH}",
        "created_at": "",
        "updated_at": "",
    }
    assert not any(VALUE in text for text in [await created.text(), *texts])
    assert client.app[keys.REDACTOR].text(f"x {VALUE}") == "x [redacted]"


async def test_a_name_can_be_used_once(client: Client) -> None:
    await create(client)

    assert (await create(client, value="other")).status == 409


@pytest.mark.parametrize(
    "wanted", [("", "x"), ("a b", "x"), ("a/b", "x"), ("a}", "x"), ("a", ""), ("a", "\0")]
)
async def test_what_is_no_secret_is_refused(client: Client, wanted: tuple[str, str]) -> None:
    assert (await create(client, *wanted)).status == 422


async def test_a_server_gets_the_values_of_the_secrets_it_names(client: Client, install, fake) -> None:
    await create(client)
    env = {"A": "${secret:GH}", "B": "x-${secret:GH}-y", "API_TOKEN": "Bearer ${secret:GH}", "C": "$GH ${GH}"}
    await install("one", fake(env=env))

    seen = await environment(client)
    shown = (await (await client.get("/api/mcp_server/one")).json())["server_config"]["env"]

    assert {name: seen[name] for name in env} == {
        "A": VALUE,
        "B": f"x-{VALUE}-y",
        "API_TOKEN": f"Bearer {VALUE}",
        "C": "$GH ${GH}",
    }
    assert shown == env


async def test_a_new_value_reaches_a_server_that_runs(client: Client, install, fake) -> None:
    await create(client)
    await install("one", fake(env={"A": "${secret:GH}"}))
    await environment(client)

    changed = await client.put("/api/secret/GH", json={"value": "another-value"})

    assert changed.status == 200
    assert (await environment(client))["A"] == "another-value"


async def test_a_server_whose_secret_is_not_there_says_which(client: Client, install, fake) -> None:
    await create(client)
    await install("one", fake(env={"A": "${secret:GH}"}))
    await client.delete("/api/secret/GH")

    answer = await client.post("/api/mcp_server/one/start")

    assert answer.status == 503
    assert "names the secret GH, which is not stored" in (await answer.json())["error"]["message"]


async def test_what_is_not_there_is_not_found(client: Client) -> None:
    answers = [
        await client.get("/api/secret/NO"),
        await client.put("/api/secret/NO", json={"value": "x"}),
        await client.delete("/api/secret/NO"),
    ]

    assert [answer.status for answer in answers] == [404, 404, 404]


async def test_secrets_are_a_matter_of_administration(client: Client) -> None:
    page = {"Origin": "http://localhost:3000"}

    answers = [
        await client.post("/api/secret", json={"name": "A", "value": "x"}, headers=page),
        await client.put("/api/secret/A", json={"value": "x"}, headers=page),
        await client.delete("/api/secret/A", headers=page),
        await client.post("/api/secret/rotate_key", headers=page),
    ]

    assert [answer.status for answer in answers] == [403] * 4


async def test_everything_is_sealed_again_with_a_new_key(client: Client, install, fake) -> None:
    await create(client)
    await install("one", fake(env={"A": "${secret:GH}", "API_TOKEN": "canary-of-a-server"}))

    answer = await client.post("/api/secret/rotate_key")

    assert await answer.json() == {"count": 2, "key": "file"}
    seen = await environment(client)
    assert (seen["A"], seen["API_TOKEN"]) == (VALUE, "canary-of-a-server")

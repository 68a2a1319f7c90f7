"""A person logs in once, and from then on every call works."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest
from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.config import AgentConfig, LlmConfig, OAuthConfig, OllamaConfig


async def until(happened: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not await happened():
            await asyncio.sleep(0.01)


def grants(world: Any) -> list[str]:
    return [request["grant_type"] for request in world.token_requests]


def later(client: Any, seconds: float) -> None:
    client.app[keys.OAUTH].clock = lambda: time.time() + seconds


async def test_a_call_that_needs_a_login_fails_at_once_and_says_how_to_start_it(person, world) -> None:
    await person.install()

    error = (await person.call())["error"]

    assert error["data"]["error"]["code"] == "UPSTREAM_AUTHORIZATION_NEEDED"
    assert error["data"]["error"]["details"] == {
        "name": "remote",
        "start": {"method": "POST", "path": "/api/mcp_server/start_oauth", "body": {"name": "remote"}},
    }
    assert (await person.status())["state"] == "needs_authorization"


async def test_one_login_and_every_call_works(person, world) -> None:
    await person.install()

    started = await person.click()
    waiting = await person.status()
    status, page = await person.come_back(await person.consent(started["auth_url"]))

    assert waiting["state"] == "authorizing"
    assert (status, "remote is connected" in page) == (200, True)
    assert await person.does() == "did read"
    shown = (await person.status())["authorization"]
    assert shown | {"expires_at": ""} == {
        "state": "authorized",
        "issuer": world.issuer,
        "scopes": ["read"],
        "needed_scopes": [],
        "expires_at": "",
        "can_refresh": True,
        "last_error": None,
    }
    assert (await person.status())["state"] == "running"


async def test_the_login_asks_for_what_the_specification_asks(person, world) -> None:
    await person.install()

    started = await person.click()
    asked = dict(parse_qsl(urlsplit(started["auth_url"]).query))
    await person.come_back(await person.consent(started["auth_url"]))

    assert asked | {"state": "", "code_challenge": ""} == {
        "response_type": "code",
        "client_id": "client-1",
        "redirect_uri": "http://localhost:0/oauth/callback",
        "state": "",
        "code_challenge": "",
        "code_challenge_method": "S256",
        "resource": world.mcp,
        "scope": "read",
    }
    assert (len(asked["state"]), len(asked["code_challenge"])) == (43, 43)
    assert world.token_requests[0]["resource"] == world.mcp
    assert "scope" not in world.registered[0]
    assert world.registered[0]["token_endpoint_auth_method"] == "none"


async def test_the_page_has_no_script_and_loads_nothing(person, world) -> None:
    await person.install("a-b_c")
    world.adds = {"error": "access_denied", "error_description": "<script>alert(1)</script>\x07"}

    started = await person.click("a-b_c")
    query = await person.consent(started["auth_url"])
    answer = await person.client.get("/oauth/callback", params=query)
    page = await answer.text()

    assert answer.status == 400
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert (await person.status("a-b_c"))["authorization"]["state"] == "needed"


async def test_an_expired_token_is_renewed_once_for_all_who_wait(person, world) -> None:
    await person.install()
    await person.log_in()
    await person.does()
    world.access.clear()
    later(person.client, 4000)

    done = await asyncio.gather(*(person.does() for _ in range(20)))

    assert done == ["did read"] * 20
    assert grants(world) == ["authorization_code", "refresh_token"]
    assert world.token_requests[1]["resource"] == world.mcp


async def test_a_token_that_was_revoked_early_is_renewed_too(person, world) -> None:
    await person.install()
    await person.log_in()
    await person.does()
    world.access.clear()

    done = await asyncio.gather(*(person.does() for _ in range(20)))

    assert done == ["did read"] * 20
    assert len(world.token_requests) == 2


async def test_a_refresh_token_that_is_not_rotated_is_kept(person, world) -> None:
    world.rotates = False
    await person.install()
    await person.log_in()
    for hour in (2, 4, 6):
        later(person.client, hour * 3600)
        assert await person.does() == "did read"

    assert len({request["refresh_token"] for request in world.token_requests[1:]}) == 1


async def test_a_login_that_is_over_asks_for_a_new_one(person, world) -> None:
    await person.install()
    await person.log_in()
    await person.does()
    world.access.clear()
    world.refresh.clear()

    error = (await person.call())["error"]

    assert error["data"]["error"]["code"] == "UPSTREAM_AUTHORIZATION_NEEDED"
    assert (await person.status())["authorization"]["state"] == "needed"
    assert (await person.log_in())[0] == 200
    assert await person.does() == "did read"
    assert len(world.registered) == 1


async def test_an_authorization_server_that_is_down_does_not_cost_the_login(person, world) -> None:
    await person.install()
    await person.log_in()
    world.token_error = (503, {})
    later(person.client, 4000)

    broken = await person.call()
    world.token_error = None

    assert broken["error"]["data"]["error"]["code"] == "UPSTREAM_ERROR"
    assert await person.does() == "did read"


async def test_a_token_is_used_to_its_end_when_it_can_not_be_renewed_before(person, world) -> None:
    await person.install()
    await person.log_in()
    world.token_error = (503, {})
    later(person.client, 3590)

    assert await person.does() == "did read"


async def test_a_call_that_needs_more_asks_for_more_and_gets_it(person, world) -> None:
    await person.install()
    await person.log_in()

    refused = (await person.call("write"))["error"]["data"]["error"]
    still = await person.does("read")
    shown = (await person.status())["authorization"]
    started = await person.click()
    asked = dict(parse_qsl(urlsplit(started["auth_url"]).query))
    await person.come_back(await person.consent(started["auth_url"]))

    assert refused["code"] == "UPSTREAM_AUTHORIZATION_NEEDED"
    assert "write" in refused["message"]
    assert (still, shown["needed_scopes"]) == ("did read", ["write"])
    assert asked["scope"] == "read write"
    assert await person.does("write") == "did write"


async def test_a_server_that_never_has_enough_is_not_asked_for_ever(person, world) -> None:
    world.always_insufficient = True
    await person.install()
    await person.log_in()
    await person.call("write")
    await person.log_in()

    again = (await person.call("write"))["error"]["data"]["error"]

    assert again["code"] == "UPSTREAM_ERROR"
    assert "would not help" in again["message"]
    assert len(world.token_requests) == 2


async def test_a_client_that_was_registered_by_hand_is_used(person, world) -> None:
    world.metadata = {"registration_endpoint": None}
    await person.install()

    asked = await person.click()
    oauth = {"client_id": "mine", "client_secret": "s3cret-+/ x"}
    config = {"transport": "http", "url": world.mcp, "oauth": oauth}
    changed = await person.client.put("/api/mcp_server/remote", json={"server_config": config})
    shown = (await changed.json())["server_config"]
    again = await person.client.put("/api/mcp_server/remote", json={"server_config": shown})
    await person.log_in()

    assert asked["status"] == 409
    assert asked["error"]["details"]["redirect_uri"].endswith("/oauth/callback")
    assert shown["oauth"] == {"client_id": "mine", "client_secret": "********", "scopes": None}
    assert again.status == 200
    assert world.token_requests[0]["authorization"] == "Basic bWluZTpzM2NyZXQtJTJCJTJGJTIweA=="
    assert await person.does() == "did read"


async def test_logging_out_revokes_and_forgets(person, world) -> None:
    await person.install()
    await person.log_in()
    await person.does()

    answer = await person.client.post("/api/mcp_server/remote/log_out")

    assert answer.status == 200
    assert (await person.status())["authorization"]["state"] == "needed"
    assert [revoked["token_type_hint"] for revoked in world.revoked] == ["refresh_token"]
    assert (await person.call())["error"]["data"]["error"]["code"] == "UPSTREAM_AUTHORIZATION_NEEDED"


async def test_logging_out_where_nobody_is_logged_in_changes_nothing(person, world) -> None:
    await person.install()
    local = await person.client.post("/api/mcp_server/filesystem-server/log_out")
    remote = await person.client.post("/api/mcp_server/remote/log_out")
    await person.click()
    waiting = await person.client.post("/api/mcp_server/remote/log_out")

    assert (local.status, remote.status, waiting.status) == (409, 200, 200)
    assert (await person.status("filesystem-server"))["authorization"] is None
    assert (await remote.json())["status"]["authorization"] is None
    assert (await waiting.json())["status"]["state"] != "authorizing"
    assert world.revoked == []


async def test_a_server_that_does_not_run_is_named_with_the_reason(person, unused_tcp_port) -> None:
    await person.install(url=f"http://127.0.0.1:{unused_tcp_port}/mcp")

    started = await person.click()

    assert started["status"] == 503
    assert started["error"]["message"].endswith("can not be asked: Connection refused")


async def test_a_server_that_is_deleted_takes_its_login_along(person, world) -> None:
    await person.install()
    await person.log_in()

    await person.client.delete("/api/mcp_server/remote")
    await person.install()

    async def is_revoked() -> bool:
        return bool(world.revoked)

    await until(is_revoked)
    assert world.seen[-1] != ""
    assert (await person.status())["authorization"] is None
    assert "error" in await person.call()
    async with person.client.app[keys.DATABASE].read() as db:
        rows = await db.execute_fetchall("SELECT owner, name FROM secret WHERE name LIKE 'oauth%'")
    assert [tuple(row) for row in rows] == []


async def test_a_server_that_moves_gets_no_token_of_the_old_place(person, world) -> None:
    await person.install()
    await person.log_in()
    elsewhere = {"transport": "http", "url": f"{world.mcp}?moved"}

    await person.client.put("/api/mcp_server/remote", json={"server_config": elsewhere})
    error = (await person.call())["error"]

    assert world.seen[-1] == ""
    assert error["data"]["error"]["code"] == "UPSTREAM_AUTHORIZATION_NEEDED"


async def test_a_login_that_nobody_finishes_expires(person, world) -> None:
    await person.install()
    started = await person.click()
    query = await person.consent(started["auth_url"])
    later(person.client, 601)

    status, page = await person.come_back(query)

    assert (status, "has expired" in page) == (400, True)
    assert (await person.status())["state"] != "authorizing"
    assert world.token_requests == []


async def test_logins_on_their_way_are_bounded(person, world) -> None:
    for number in range(33):
        await person.install(f"s{number}")
    answers = [await person.click(f"s{number}") for number in range(33)]
    again = await person.click("s0")

    assert [answer["status"] for answer in answers] == [200] * 32 + [429]
    assert again["status"] == 200


async def test_a_login_survives_a_restart_and_is_renewed_after_it(config, world, person_at, gateway) -> None:
    async with gateway(config) as client:
        person = person_at(client)
        await person.install()
        await person.log_in()
        await person.does()
    world.access.clear()

    async with gateway(config) as client:
        later(client, 4000)
        person = person_at(client)
        shown = (await person.status())["authorization"]
        done = await person.does()

    assert (shown["state"], done) == ("authorized", "did read")
    assert grants(world) == ["authorization_code", "refresh_token"]
    for path in Path(config.server.data_dir).rglob("*"):
        if path.is_file():
            assert b"access-" not in path.read_bytes(), path
            assert b"refresh-" not in path.read_bytes(), path


async def test_events_tell_what_becomes_of_a_login(person, world) -> None:
    await person.install()
    stream = await person.client.get("/api/events")
    assert await stream.content.readline() == b": watching\n"

    await person.log_in()

    states = []
    async with asyncio.timeout(10):
        async for line in stream.content:
            if line.startswith(b"data:"):
                data = json.loads(line[5:])
                states.append((data["name"], data["authorization"]["state"]))
                if states[-1][1] == "authorized":
                    break
    assert states == [("remote", "authorizing"), ("remote", "authorized")]


async def test_the_gateway_describes_itself_to_authorization_servers(person) -> None:
    described = await (await person.client.get("/oauth/client.json")).json()

    assert described["redirect_uris"] == ["http://localhost:0/oauth/callback"]
    assert described["token_endpoint_auth_method"] == "none"


@pytest.mark.parametrize("offline", [True, False])
async def test_a_refresh_token_is_asked_for_where_that_must_be_asked(person, world, offline) -> None:
    world.metadata = {"scopes_supported": ["read", "offline_access"] if offline else ["read"]}
    await person.install()

    started = await person.click()
    asked = dict(parse_qsl(urlsplit(started["auth_url"]).query))

    assert asked["scope"] == ("read offline_access" if offline else "read")
    assert asked.get("prompt") == ("consent" if offline else None)


async def test_a_login_that_is_over_shows_in_the_servers_state_though_it_runs(person, world) -> None:
    await person.install()
    await person.log_in()
    await person.does()
    running = (await person.status())["state"]
    world.access.clear()
    world.refresh.clear()

    await person.call()
    over = (await person.status())["state"]
    await person.log_in()
    await person.does()

    assert (running, over) == ("running", "needs_authorization")
    assert (await person.status())["state"] == "running"


async def test_a_server_that_takes_a_plain_key_needs_no_login(person, world) -> None:
    await person.install()
    await person.call()
    needed = await person.status()
    world.access["plain-key"] = {"read"}
    config = {"transport": "http", "url": world.mcp, "headers": {"authorization": "Bearer plain-key"}}

    await person.client.put("/api/mcp_server/remote", json={"server_config": config})

    assert await person.does() == "did read"
    assert (needed["state"], needed["authorization"]["state"]) == ("needs_authorization", "needed")
    shown = await person.status()
    assert (shown["state"], shown["authorization"]) == ("running", None)


async def test_a_login_takes_the_place_of_a_configured_authorization(person, world) -> None:
    await person.install(headers={"authorization": "Bearer old", "X-Else": "kept"})

    await person.log_in()

    assert await person.does() == "did read"
    assert world.seen[-1].startswith("Bearer access-")


async def test_mcp_for_all_servers_uses_the_login_and_says_when_it_is_over(person, world) -> None:
    await person.install()
    params = {"name": "remote__read", "arguments": {}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    await person.log_in()

    during = await (await person.client.post("/mcp", json=message)).text()
    world.access.clear()
    world.refresh.clear()
    after = await (await person.client.post("/mcp", json=message)).text()

    assert "did read" in during
    assert "start_oauth" in after


async def test_the_agent_uses_the_login_and_says_when_it_is_over(
    config, world, person_at, gateway, model_url
) -> None:
    agent, ollama = AgentConfig(titles=False, approval="never"), OllamaConfig(url=model_url)
    message = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Read it"}]}
    chat = {"model": "reads-remote", "trigger": "submit-message", "messages": [message]}
    async with gateway(attrs.evolve(config, agent=agent, llm=LlmConfig(ollama=ollama))) as client:
        person = person_at(client)
        await person.install()
        await person.log_in()

        during = await (await client.post("/api/agent/chat", json={"id": "c1", **chat})).text()
        world.access.clear()
        world.refresh.clear()
        after = await (await client.post("/api/agent/chat", json={"id": "c2", **chat})).text()

    assert "did read" in during
    assert "needs a login" in after
    assert '"finish"' in after


async def test_a_published_description_takes_the_place_of_a_registration(
    config, world, person_at, gateway
) -> None:
    url = "https://gateway.example/client.json"
    config = attrs.evolve(config, oauth=OAuthConfig(client_metadata_url=url))
    async with gateway(config) as client:
        person = person_at(client)
        await person.install()
        unknown = await person.click()
        world.metadata = {"client_id_metadata_document_supported": True}

        await person.log_in()

        assert await person.does() == "did read"
    assert "client_id=client-1" in unknown["auth_url"]
    assert world.token_requests[0]["client_id"] == url


async def test_openid_descriptions_and_old_servers_without_one_of_their_own_will_do(person, world) -> None:
    async def not_found(request: web.Request) -> web.StreamResponse:
        raise web.HTTPNotFound

    world.answers["/.well-known/oauth-authorization-server"] = not_found
    world.answers["/.well-known/openid-configuration"] = world.describe
    await person.install()

    assert (await person.log_in())[0] == 200
    assert await person.does() == "did read"


async def test_a_server_without_any_login_says_so(person, world) -> None:
    async def not_found(request: web.Request) -> web.StreamResponse:
        raise web.HTTPNotFound

    world.answers["/.well-known/oauth-protected-resource/mcp"] = not_found
    await person.install()

    started = await person.click()

    assert started["status"] == 502
    assert "does not describe itself as an authorization server" in started["error"]["message"]


async def test_a_server_on_this_machine_has_no_login(person) -> None:
    started = await person.click("filesystem-server")

    assert (started["status"], started["error"]["code"]) == (409, "CONFLICT")


async def test_a_client_that_the_provider_forgot_is_registered_anew(person, world) -> None:
    await person.install()
    await person.log_in()
    world.token_error = (401, {"error": "invalid_client"})
    later(person.client, 4000)
    await person.call()
    world.token_error = None

    await person.log_in()

    assert await person.does() == "did read"
    assert len(world.registered) == 2


async def test_a_client_that_led_to_no_login_is_not_used_again(person, world) -> None:
    """The provider may have forgotten it, and says so on a page that we never see."""
    await person.install()
    first, second = await person.click(), await person.click()
    await person.come_back(await person.consent(second["auth_url"]))
    third = await person.click()

    clients = [
        dict(parse_qsl(urlsplit(each["auth_url"]).query))["client_id"] for each in (first, second, third)
    ]
    assert clients == ["client-1", "client-2", "client-2"]

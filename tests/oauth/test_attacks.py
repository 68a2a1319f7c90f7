"""What hostile pages, servers and databases try with a login, and what comes of it: nothing."""

import asyncio
import gzip
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest
from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.config import Config, OAuthConfig

NOWHERE = (
    "http://10.0.0.1/",
    "https://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/",
    "https://[fd00::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[64:ff9b::a00:1]/",
    "https://0.0.0.0/",
    "http://as.example/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "data:text/html,x",
    "ftp://as.example/",
    "https://user:password@as.example/",
    "https://as.example/#fragment",
    "https://as.example/$(touch${IFS}x);`id`|&calc.exe",
    'https://as.example/"&calc.exe',
    "https://as.example\\@10.0.0.1/",
    "//as.example/",
    "https://as.example:99999/",
    "https://",
    "https://as.example/\r\nX: y",
    "https://аs.example/",
)
FIELDS = ("authorization_endpoint", "token_endpoint", "registration_endpoint", "revocation_endpoint")


@pytest.fixture
def config(config: Config) -> Config:
    return attrs.evolve(config, oauth=OAuthConfig(timeout=2))


@pytest.mark.parametrize("state", ["", "x", "a" * 43, "' OR 1=1 --", "é", "a" * 8000])
async def test_a_forged_state_leads_nowhere(person, world, state) -> None:
    await person.install()
    await person.click()

    status, page = await person.come_back({"code": "evil", "state": state, "iss": world.issuer})

    assert (status, "unknown" in page) == (400, True)
    assert world.token_requests == []
    assert (await person.status())["state"] == "authorizing"


async def test_a_state_is_good_once(person, world) -> None:
    await person.install()
    query = await person.consent((await person.click())["auth_url"])

    answers = await asyncio.gather(*(person.come_back(query) for _ in range(5)))

    assert sorted(status for status, _ in answers) == [200, 400, 400, 400, 400]
    assert len(world.token_requests) == 1


async def test_only_a_get_uses_a_state_up(person, world) -> None:
    await person.install()
    query = await person.consent((await person.click())["auth_url"])

    head = await person.client.head("/oauth/callback", params=query)
    post = await person.client.post("/oauth/callback", params=query)

    assert (head.status, post.status) == (405, 405)
    assert (await person.come_back(query))[0] == 200


async def test_a_state_of_a_login_that_was_given_up_is_worth_nothing(person, world) -> None:
    await person.install()
    old = await person.consent((await person.click())["auth_url"])
    new = await person.consent((await person.click())["auth_url"])

    assert (await person.come_back(old))[0] == 400
    assert (await person.come_back(new))[0] == 200


async def test_a_code_of_one_server_never_reaches_another(person, world, other_world) -> None:
    """RFC 9207 §1: a mix-up of two authorization servers."""
    await person.install("honest")
    await person.install("evil", other_world.mcp)
    honest = await person.consent((await person.click("honest"))["auth_url"])
    evil = await person.consent((await person.click("evil"))["auth_url"])

    status, page = await person.come_back({**honest, "state": evil["state"]})

    assert (status, "where nobody was sent" in page) == (400, True)
    assert (other_world.token_requests, world.token_requests) == ([], [])


@pytest.mark.parametrize("iss", ["", "https://elsewhere.example", "{issuer}/", "{issuer}/x", "{issuer}\x00"])
async def test_who_answers_must_say_who_it_is(person, world, iss) -> None:
    await person.install()
    world.adds = {"iss": iss.format(issuer=world.issuer)}

    status, _ = await person.log_in()

    assert status == (200 if iss == "{issuer}/" else 400)
    assert len(world.token_requests) == (iss == "{issuer}/")


@pytest.mark.parametrize("url", NOWHERE)
@pytest.mark.parametrize("field", FIELDS)
async def test_an_endpoint_that_leads_astray_is_refused(person, world, field, url) -> None:
    world.metadata = {field: url}
    await person.install()

    started = await person.click()

    assert (started["status"], started["error"]["code"]) == (502, "UPSTREAM_ERROR")
    assert (world.registered, world.token_requests) == ([], [])


@pytest.mark.parametrize("url", NOWHERE)
async def test_an_authorization_server_that_leads_astray_is_refused(person, world, url) -> None:
    world.resource = {"authorization_servers": [url]}
    await person.install()

    started = await person.click()

    assert (started["status"], started["error"]["code"]) == (502, "UPSTREAM_ERROR")


@pytest.mark.parametrize(
    "url", [url for url in NOWHERE if url.isascii() and url.isprintable() and '"' not in url]
)
async def test_a_challenge_that_leads_astray_is_refused(person, world, url) -> None:
    world.challenge = f'Bearer resource_metadata="{url}"'.replace("\\", "\\\\")
    await person.install()

    started = await person.click()

    assert (started["status"], started["error"]["code"]) == (502, "UPSTREAM_ERROR")


async def huge(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    for _ in range(64):
        await answer.write(b" " * 65536)
    return answer


async def endless(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    while True:
        await answer.write(b" ")
        await asyncio.sleep(0.1)


async def silent(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(10)
    return web.Response()


async def loop(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound(str(request.url))


async def astray(request: web.Request) -> web.StreamResponse:
    raise web.HTTPTemporaryRedirect("http://169.254.169.254/latest/meta-data/")


async def deep(request: web.Request) -> web.StreamResponse:
    return web.Response(text="[" * 100_000, content_type="application/json")


async def bomb(request: web.Request) -> web.StreamResponse:
    packed = gzip.compress(b" " * 50_000_000)
    return web.Response(body=packed, headers={"Content-Encoding": "gzip"}, content_type="application/json")


PLACES = ("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server", "/register")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("answer", [huge, endless, silent, loop, astray, deep, bomb])
async def test_a_bad_answer_costs_little_and_starts_nothing(
    person, world, place: str, answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> None:
    world.answers[place] = answer
    await person.install()

    async with asyncio.timeout(5):
        started = await person.click()

    assert started["status"] in (502, 503, 504), started
    assert (await person.status())["state"] != "authorizing"


@pytest.mark.parametrize("answer", [huge, endless, silent, loop, astray, deep, bomb])
async def test_a_bad_answer_of_the_token_endpoint_ends_the_login(person, world, answer) -> None:
    world.answers["/token"] = answer
    await person.install()

    async with asyncio.timeout(5):
        status, page = await person.log_in()

    assert (status, "is not connected" in page) == (400, True)
    shown = (await person.status())["authorization"]
    assert (shown["state"], shown["last_error"] is None) == ("needed", False)


@pytest.mark.parametrize(
    "issuer", ["https://elsewhere.example", "", None, "{issuer}/other", "{issuer}?x", "{upper}"]
)
async def test_a_description_of_another_issuer_is_refused(person, world, issuer) -> None:
    said = issuer and issuer.format(issuer=world.issuer, upper=world.issuer.upper())
    world.metadata = {"issuer": said}
    await person.install()

    started = await person.click()

    assert (started["status"], "another issuer" in started["error"]["message"]) == (502, True)


@pytest.mark.parametrize("methods", [None, [], ["plain"], "S256", ["s256"]])
async def test_without_s256_nobody_logs_in(person, world, methods) -> None:
    world.metadata = {"code_challenge_methods_supported": methods}
    await person.install()

    started = await person.click()

    assert (started["status"], "S256" in started["error"]["message"]) == (502, True)


@pytest.mark.parametrize(
    "resource",
    [
        "https://bank.example/mcp",
        "{origin}/other",
        "{origin}/mcp2",
        "{origin}/mcp/deeper",
        "{other}",
        "",
        None,
        7,
    ],
)
async def test_a_server_gets_no_token_that_is_for_another(person, world, other_world, resource) -> None:
    origin = world.mcp.removesuffix("/mcp")
    world.resource = {
        "resource": resource.format(origin=origin, other=other_world.mcp)
        if isinstance(resource, str)
        else resource
    }
    await person.install()

    started = await person.click()

    assert (started["status"], "which is not itself" in started["error"]["message"]) == (502, True)


@pytest.mark.parametrize(
    "answer",
    [
        {"access_token": "a\r\nX-Evil: 1", "token_type": "Bearer"},
        {"access_token": "", "token_type": "Bearer"},
        {"access_token": 7, "token_type": "Bearer"},
        {"access_token": "good-enough", "token_type": "mac"},
        {"access_token": "good-enough"},
        {"access_token": "x" * 20_000, "token_type": "Bearer"},
        [],
    ],
)
async def test_a_token_that_is_none_is_not_kept(person, world, answer) -> None:
    world.token_error = (200, answer)
    await person.install()

    assert (await person.log_in())[0] == 400
    assert (await person.status())["authorization"]["state"] == "needed"


async def test_a_callback_under_a_foreign_name_is_refused(person, world) -> None:
    await person.install()
    query = await person.consent((await person.click())["auth_url"])

    rebound = await person.client.get("/oauth/callback", params=query, headers={"Host": "evil.example"})

    assert rebound.status == 421
    assert world.token_requests == []
    assert (await person.come_back(query))[0] == 200


async def test_a_page_of_another_local_program_starts_no_login(person, world) -> None:
    await person.install()

    for origin in ("http://localhost:3000", "https://evil.example", "null"):
        answer = await person.client.post(
            "/api/mcp_server/start_oauth", json={"name": "remote"}, headers={"Origin": origin}
        )
        assert answer.status == 403


@pytest.mark.parametrize("change", ["delete", "recreate", "move"])
async def test_a_login_is_not_for_a_server_that_changed_meanwhile(person, world, other_world, change) -> None:
    await person.install()
    query = await person.consent((await person.click())["auth_url"])
    if change == "move":
        config = {"transport": "http", "url": other_world.mcp}
        await person.client.put("/api/mcp_server/remote", json={"server_config": config})
    else:
        await person.client.delete("/api/mcp_server/remote")
    if change == "recreate":
        await person.install("remote", other_world.mcp)

    status, page = await person.come_back(query)

    assert (status, "removed or changed" in page) == (400, True)
    if change != "delete":
        await person.call()
        assert set(other_world.seen) == {""}
    async with person.client.app[keys.DATABASE].read() as db:
        assert not list(await db.execute_fetchall("SELECT 1 FROM secret WHERE name = 'oauth'"))


async def test_tokens_that_were_swapped_in_the_database_are_not_used(
    config, world, other_world, person_at, gateway
) -> None:
    async with gateway(config) as client:
        person = person_at(client)
        await person.install("one")
        await person.install("two", other_world.mcp)
        await person.log_in("one")
        query = await person.consent((await person.click("two"))["auth_url"])
        await person.come_back(query)
        assert [await person.does("read", name) for name in ("one", "two")] == ["did read"] * 2
    path = config.server.data_dir / "gateway.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(
            "UPDATE secret SET owner = CASE owner WHEN 'mcp_server:one' THEN 'mcp_server:-' ELSE owner END"
        )
        database.execute("UPDATE secret SET owner = 'mcp_server:one' WHERE owner = 'mcp_server:two'")
        database.execute("UPDATE secret SET owner = 'mcp_server:two' WHERE owner = 'mcp_server:-'")
    world.seen.clear()
    other_world.seen.clear()

    async with gateway(config) as client:
        person = person_at(client)
        for name in ("one", "two"):
            assert "error" in await person.call("read", name)
            assert "can not be opened" in (await person.status(name))["authorization"]["last_error"]

    assert set(world.seen) | set(other_world.seen) == {""}


async def test_a_redirecting_server_gets_the_token_and_nobody_else_does(person, world, other_world) -> None:
    await person.install()
    await person.log_in()

    async def away(request: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect(other_world.mcp)

    world.answers["/mcp"] = away
    await person.client.post("/api/mcp_server/remote/restart")

    assert "error" in await person.call()
    assert other_world.seen == []


async def test_a_masked_header_does_not_follow_to_another_host(person, world, other_world) -> None:
    await person.install(headers={"X-Api-Key": "canary-header-value"})
    shown = (await (await person.client.get("/api/mcp_server/remote")).json())["server_config"]

    moved = {**shown, "url": other_world.mcp}
    answer = await person.client.put("/api/mcp_server/remote", json={"server_config": moved})

    assert answer.status == 422
    assert "send the value itself" in await answer.text()


async def test_no_log_line_has_a_code_a_state_or_a_token(person, world, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    await person.install()
    started = await person.click()
    asked = dict(parse_qsl(urlsplit(started["auth_url"]).query))
    query = await person.consent(started["auth_url"])
    ours = [record for record in caplog.records if record.name.startswith(("archestra", "mcp"))]
    await person.come_back(query)
    await person.does()
    world.access.clear()
    await person.does()

    secrets = {query["code"], asked["state"], *world.access, *world.refresh}
    for record in [*ours, *caplog.records]:
        if not record.name.startswith("aiohttp.access"):
            assert not any(secret in record.getMessage() for secret in secrets), record
    log = await (await person.client.get("/api/mcp_request_log")).text()
    assert not any(secret in log for secret in secrets)

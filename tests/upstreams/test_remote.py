"""A remote server that streams, breaks, forgets and restarts, over both HTTP transports."""

import asyncio
import json
import signal
import time
from collections.abc import Callable
from datetime import datetime
from email.utils import formatdate
from typing import Any

import pytest

from archestra_gateway.config import McpConfig
from archestra_gateway.errors import UpstreamError, UpstreamTimeout, UpstreamUnavailable
from archestra_gateway.protocol import jsonrpc, mcp
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.schemas.mcp_server import HttpConfig
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.pool import Lease, Pool
from archestra_gateway.upstreams.server import Server

Start = Callable[..., Any]
PATHS = {"http": "/mcp", "sse": "/sse"}


class Client:
    """A session with a server: what it hears lies in `heard`, with the call that caused it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.heard: asyncio.Queue[tuple[Message, str | None]] = asyncio.Queue()
        self.lease: Lease

    async def begin(self) -> "Client":
        opening = jsonrpc.request(0, mcp.INITIALIZE, mcp.INITIALIZE_PARAMS)
        self.lease, answer = await self.server.open_session(Call(opening), self._hear, lambda: None)
        assert "result" in answer
        await self.lease.upstream.send(jsonrpc.notification(mcp.INITIALIZED))
        return self

    def _hear(self, message: Message, causes: Any) -> None:
        names = [mcp.tool_name(call.message.get("params")) for call in causes]
        self.heard.put_nowait((message, names[0] if names else None))

    async def ask(self, method: str, **params: Any) -> Any:
        answer = await self.lease.upstream.call(Call(jsonrpc.request(1, method, params)))
        return {name: jsonrpc.value(text) for name, text in answer.items()}

    async def call(self, name: str, **arguments: Any) -> str:
        answer = await self.ask("tools/call", name=name, arguments=arguments)
        return str(answer["result"]["content"][0]["text"])

    async def hear(self) -> tuple[str, str | None]:
        """The next method, and the tool that was called when it was said."""
        async with asyncio.timeout(10):
            message, cause = await self.heard.get()
        return mcp.method(message), cause

    async def session(self) -> Any:
        return json.loads(await self.call("session"))


@pytest.fixture(params=["http", "sse"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def serve(start_far: Start, pool: Pool) -> Callable[..., tuple[Any, Server]]:
    """far, server = serve("--no-stream", path="/sse")"""

    def served(
        *flags: str, path: str = "/mcp", transport: Any = "http", **headers: str
    ) -> tuple[Any, Server]:
        far = start_far(*flags)
        config = HttpConfig(transport=transport, url=far.url + path, headers=headers)
        return far, Server("far", config, pool)

    return served


@pytest.fixture
async def both(serve: Any, transport: str) -> tuple[Any, Client, str]:
    """A session over each transport; the old one is found out."""
    far, server = serve(path=PATHS[transport])
    client = await Client(server).begin()
    if transport == "http":
        await far.until("GET")
    return far, client, transport


async def test_calls_are_answered_over_both_transports(both: tuple[Any, Client, str]) -> None:
    _, client, transport = both

    said = await asyncio.gather(*(client.call("echo", text=str(number)) for number in range(20)))

    assert said == [str(number) for number in range(20)]
    status = client.server.status()
    assert (status.state, status.transport, status.last_error) == ("running", transport, None)


async def test_what_is_said_unasked_arrives_and_answers_go_back(both: tuple[Any, Client, str]) -> None:
    _, client, _ = both

    await client.call("log_unasked")
    assert (await client.hear())[0] == "notifications/message"
    await client.call("change")
    assert (await client.hear())[0] == "notifications/tools/list_changed"
    asking = asyncio.create_task(client.call("ask", method="roots/list", unasked=True))
    question, _ = await client.heard.get()
    await client.lease.upstream.send(
        {"jsonrpc": jsonrpc.VERSION, "id": question["id"], "result": jsonrpc.raw({"roots": []})}
    )

    assert mcp.method(question) == "roots/list"
    assert json.loads(await asking) == {"result": {"roots": []}}


async def test_what_a_call_caused_is_known_by_its_stream(serve: Any) -> None:
    _, server = serve()
    client = await Client(server).begin()
    waiting = asyncio.create_task(client.call("ask", method="elicitation/create"))
    question, cause = await client.heard.get()

    await client.call("log")
    newest = await client.hear()
    await client.lease.upstream.send(
        {"jsonrpc": jsonrpc.VERSION, "id": question["id"], "result": jsonrpc.raw({"action": "accept"})}
    )

    assert cause == "ask"
    assert newest == ("notifications/message", "log")
    assert json.loads(await waiting) == {"result": {"action": "accept"}}


async def test_progress_comes_as_it_is_made(both: tuple[Any, Client, str]) -> None:
    _, client, _ = both
    steps: list[float] = []
    params = {"name": "progress", "arguments": {"steps": 3, "pause": 0.2}, "_meta": {"progressToken": "mine"}}

    await client.lease.upstream.call(
        Call(jsonrpc.request(1, "tools/call", params), lambda message: steps.append(time.monotonic()))
    )

    assert len(steps) == 3
    assert steps[2] - steps[0] > 0.3


@pytest.mark.parametrize("limits", [McpConfig(request_timeout=0.6, max_request_timeout=1.5)])
async def test_progress_prolongs_patience_and_not_for_ever(both: tuple[Any, Client, str]) -> None:
    _, client, _ = both

    async def progress(steps: int) -> Any:
        arguments = {"steps": steps, "pause": 0.3}
        return await client.ask(
            "tools/call", name="progress", arguments=arguments, _meta={"progressToken": 1}
        )

    assert (await progress(3))["result"]["content"][0]["text"] == "done"
    with pytest.raises(UpstreamTimeout):
        await progress(50)


@pytest.mark.parametrize("limits", [McpConfig(request_timeout=0.6)])
async def test_a_silent_call_is_given_up_and_its_late_answer_dropped(both: tuple[Any, Client, str]) -> None:
    far, client, _ = both

    with pytest.raises(UpstreamTimeout):
        await client.call("late")
    await far.until("notifications/cancelled")

    assert await client.call("late") == "in time"


async def test_a_forgotten_session_is_begun_again_with_what_it_was_told(
    both: tuple[Any, Client, str],
) -> None:
    far, client, _ = both
    await client.ask("logging/setLevel", level="warning")
    for uri in ("memory://1", "memory://2", "memory://3"):
        await client.ask("resources/subscribe", uri=uri)
    await client.ask("resources/unsubscribe", uri="memory://2")
    before = await client.session()

    await far.do("forget")
    await asyncio.gather(*(client.call("echo") for _ in range(5)))
    after = await client.session()

    assert after["id"] != before["id"]
    assert (after["level"], after["uris"]) == ("warning", ["memory://1", "memory://3"])
    assert len(await far.heard("initialize")) == 2
    assert len(await far.heard("notifications/initialized")) == 2
    if both[2] == "http":
        await far.until("GET", 2)
    await client.call("change")
    assert (await client.hear())[0] == "notifications/tools/list_changed"


async def test_servers_that_say_400_to_unknown_sessions_are_understood(serve: Any) -> None:
    far, server = serve("--forget-with-400")
    client = await Client(server).begin()

    await far.do("forget")

    assert await client.call("echo", text="again") == "again"


async def test_a_server_that_forgets_at_once_is_initialized_once_more_and_no_more(serve: Any) -> None:
    far, server = serve("--forgetful=tools/call", "--no-stream")
    client = await Client(server).begin()

    with pytest.raises(UpstreamError, match="forgets its sessions at once"):
        await client.call("echo")

    assert len(await far.heard("initialize")) == 2


async def test_a_stream_that_breaks_is_opened_again_where_it_was(serve: Any) -> None:
    far, server = serve()
    client = await Client(server).begin()
    await far.until("GET")
    change = {"method": "notifications/tools/list_changed"}

    await far.do("say", message=change, event_id="one")
    await client.hear()
    await far.do("miss", message={"method": "notifications/prompts/list_changed"}, event_id="two")
    await far.do("cut")

    assert (await client.hear())[0] == "notifications/prompts/list_changed"
    assert (await far.heard("GET"))[-1]["headers"]["Last-Event-ID"] == "one"
    assert await client.call("echo", text="meanwhile") == "meanwhile"


async def test_a_stream_is_opened_again_no_sooner_than_asked(serve: Any) -> None:
    far, server = serve()
    client = await Client(server).begin()
    await far.until("GET")

    await far.do("say", message={"method": "notifications/tools/list_changed"}, retry=1500)
    await client.hear()
    began = time.monotonic()
    await far.do("end_streams")
    await far.until("GET", 2)

    assert time.monotonic() - began >= 1.5


@pytest.mark.parametrize("limits", [McpConfig(keep_alive=0.05)])
async def test_a_dead_stream_is_found_and_opened_again(serve: Any) -> None:
    far, server = serve()
    client = await Client(server).begin()

    await far.until("GET", 2)

    assert await client.call("echo", text="alive") == "alive"
    assert len(await far.heard("initialize")) == 1


@pytest.mark.parametrize("limits", [McpConfig(keep_alive=0.1, request_timeout=0.5, start_timeout=5)])
async def test_a_quiet_old_stream_is_asked_for_a_sign_of_life(serve: Any) -> None:
    far, server = serve(path="/sse")
    client = await Client(server).begin()
    used = client.lease.upstream.dialogue.last_used

    await far.until("ping", 2)
    assert client.lease.upstream.dialogue.last_used == used

    far.process.send_signal(signal.SIGSTOP)
    async with asyncio.timeout(10):
        while server.status().state == "running":
            await asyncio.sleep(0.02)
    status = server.status()
    far.process.send_signal(signal.SIGCONT)
    async with asyncio.timeout(10):
        while server.status().state != "running":
            await asyncio.sleep(0.02)

    assert "no sign of life" in (status.last_error or "")
    assert await client.call("echo", text="back") == "back"


@pytest.mark.parametrize("flag", ["--no-stream", "--wrong-404", "--slow-stream"])
async def test_a_server_without_a_stream_serves_all_the_same(serve: Any, flag: str) -> None:
    far, server = serve(flag)
    client = await Client(server).begin()
    await far.until("GET")

    assert await client.call("echo", text="hi") == "hi"
    await far.do("forget")
    assert await client.call("echo", text="again") == "again"
    assert server.status().state == "running"


async def test_a_call_that_is_cut_fails_at_once_and_is_never_sent_again(
    both: tuple[Any, Client, str],
) -> None:
    far, client, _ = both

    with pytest.raises(UpstreamError, match=r"broke off|ended its stream"):
        await asyncio.wait_for(client.call("cut"), 5)

    assert await client.call("echo", text="next") == "next"
    calls = [each["message"]["params"]["name"] for each in await far.heard("tools/call")]
    assert calls.count("cut") == 1


async def test_a_cut_answer_is_taken_up_again_where_it_was(serve: Any) -> None:
    far, server = serve()
    client = await Client(server).begin()

    began = time.monotonic()
    answer = await client.call("come_back", retry=700)

    assert answer == "in the end"
    assert time.monotonic() - began >= 0.7
    assert len(await far.heard("tools/call")) == 1


async def test_an_answer_that_can_not_be_taken_up_again_is_an_error(serve: Any) -> None:
    _, server = serve("--no-stream")
    client = await Client(server).begin()

    with pytest.raises(UpstreamError, match="answered 405"):
        await client.call("come_back")


async def test_a_stream_may_end_before_its_answer(serve: Any) -> None:
    _, server = serve()
    client = await Client(server).begin()

    assert await client.call("come_back", cleanly=True) == "in the end"


async def test_an_answer_that_is_lost_with_its_session_is_an_error(serve: Any) -> None:
    _, server = serve()
    client = await Client(server).begin()

    with pytest.raises(UpstreamError, match="answered 404"):
        await client.call("come_back", forget=True)


async def test_a_restarted_server_is_found_again(serve: Any, start_far: Start, transport: str) -> None:
    far, server = serve(path=PATHS[transport])
    client = await Client(server).begin()
    await client.ask("logging/setLevel", level="error")
    if transport == "http":
        await far.until("GET")

    far.process.kill()
    far.process.wait()
    async with asyncio.timeout(10):
        while server.status().next_try_at is None:
            await asyncio.sleep(0.02)
    away = server.status()
    with pytest.raises(UpstreamUnavailable, match="could not be reached"):
        await client.call("echo")
    again = start_far(f"--port={far.url.rpartition(':')[2]}")
    async with asyncio.timeout(20):
        while server.status().state != "running":
            await asyncio.sleep(0.02)

    assert away.state == "error"
    assert away.last_error is not None
    assert away.since <= (away.next_try_at or "")
    assert (await client.session())["level"] == "error"
    assert len(await again.heard("initialize")) == 1
    back = server.status()
    assert (back.last_error, back.next_try_at) == (None, None)


def in_seconds(at: str | None) -> float:
    assert at is not None
    return datetime.fromisoformat(at).timestamp() - time.time()


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_asks_to_be_left_alone_is_not_begun_again(
    serve: Any, transport: str, status: int
) -> None:
    far, server = serve(path=PATHS[transport])
    await far.do("refuse", status=status, retry_after="100")
    with pytest.raises(UpstreamError, match=f"answered {status}") as refused:
        await server.shared()
    asked = len(await far.heard())

    with pytest.raises(UpstreamUnavailable, match="left alone for another"):
        await server.shared()
    shown = server.status()
    heard = len(await far.heard())
    await far.do("refuse")
    await server.start()

    assert refused.value.details["retry_after"] == 100
    assert heard == asked
    assert (shown.state, 80 < in_seconds(shown.next_try_at) <= 100) == ("error", True)
    assert f"answered {status}" in (shown.last_error or "")
    assert (server.status().state, server.status().next_try_at) == ("running", None)


async def test_a_stream_is_opened_again_when_the_server_wants(serve: Any) -> None:
    far, server = serve()
    client = await Client(server).begin()
    await far.until("GET")
    later = formatdate(time.time() + 3600, usegmt=True)

    await far.do("refuse", status=503, retry_after=later)
    await far.do("end_streams")
    await far.until("GET", 2)
    with pytest.raises(UpstreamError, match="answered 503") as refused:
        await client.call("echo")
    away, streams = server.status(), len(await far.heard("GET"))
    await far.do("refuse")
    await client.call("echo")
    await asyncio.sleep(1.5)

    assert refused.value.details["retry_after"] == 300
    assert (away.state, 280 < in_seconds(away.next_try_at) <= 300) == ("error", True)
    assert (server.status().state, server.status().next_try_at) == ("running", None)
    assert len(await far.heard("GET")) == streams


async def test_a_stop_ends_the_session_and_its_streams(both: tuple[Any, Client, str]) -> None:
    far, client, transport = both
    await client.call("echo")

    await client.server.stop()

    if transport == "http":
        assert (await far.heard())[-1]["method"] == "DELETE"
    heard = await far.heard()
    await asyncio.sleep(0.6)
    assert await far.heard() == heard


async def test_connections_are_used_again(serve: Any) -> None:
    far, server = serve("--no-stream")
    client = await Client(server).begin()

    for _ in range(5):
        await client.call("log")
        await asyncio.sleep(0.05)  # the end of the stream comes after the answer

    assert len({each["port"] for each in await far.heard("tools/call")}) <= 3


class TestOldServers:
    async def test_one_is_found_out_once(self, serve: Any) -> None:
        far, server = serve(path="/sse")

        first = await Client(server).begin()
        second = await Client(server).begin()

        assert await first.call("echo", text="1") + await second.call("echo", text="2") == "12"
        assert server.status().transport == "sse"
        assert len(await far.heard("initialize")) == 2

    async def test_one_can_be_named(self, serve: Any) -> None:
        _, server = serve(path="/sse", transport="sse")
        client = await Client(server).begin()

        assert await client.call("echo", text="hi") == "hi"

    async def test_messages_never_go_to_another_origin(self, serve: Any) -> None:
        _, server = serve("--elsewhere", path="/sse")

        with pytest.raises(UpstreamError, match="another place, which is refused"):
            await Client(server).begin()

    async def test_a_place_that_is_neither_says_what_it_said(self, serve: Any) -> None:
        _, server = serve(path="/nothing")

        with pytest.raises(UpstreamError, match="answered 404 Not Found"):
            await Client(server).begin()

    async def test_credentials_go_to_the_place_for_messages_too(self, serve: Any) -> None:
        far, server = serve("--token=t", path="/sse", Authorization="Bearer t")
        client = await Client(server).begin()

        assert await client.call("echo", text="hi") == "hi"
        assert {each["headers"].get("Authorization") for each in await far.heard()} == {"Bearer t"}

    async def test_a_login_is_asked_for(self, serve: Any) -> None:
        _, server = serve("--token=t", path="/sse", transport="sse")

        with pytest.raises(UpstreamUnavailable, match="asks for authorization"):
            await Client(server).begin()

        assert server.status().state == "needs_authorization"

    @pytest.mark.parametrize("limits", [McpConfig(start_timeout=0.5)])
    async def test_one_that_never_answers_is_given_up(self, serve: Any) -> None:
        _, server = serve("--mute")

        with pytest.raises(UpstreamTimeout, match="did not answer `initialize`"):
            await Client(server).begin()

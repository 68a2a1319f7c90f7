"""Remote servers behind the gateway, as clients meet them on all of its sides."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from aiohttp.test_utils import TestClient
from mcp import Client, types

from archestra_gateway.app import create_app
from archestra_gateway.config import Config, McpConfig

SDK = Path(__file__).parent.parent / "fakes" / "sdk_mcp_server.py"
STREAM = "application/json, text/event-stream"
PLACES = {"http": "/mcp", "sse": "/sse"}

both_endpoints = pytest.mark.parametrize("path", ["/mcp_proxy/far", "/mcp"])


@pytest.fixture(params=["http", "sse"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def far(start_far: Callable[..., Any], install: Any, transport: str) -> Any:
    started = start_far()
    await install("far", {"transport": "http", "url": started.url + PLACES[transport]})
    return started


@attrs.define(eq=False)
class Session:
    """A client's session at `path`, by hand."""

    client: TestClient
    path: str
    id: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Accept": STREAM, **({"Mcp-Session-Id": self.id} if self.id else {})}

    async def post(self, message: dict[str, Any]) -> Any:
        return await self.client.post(self.path, json={"jsonrpc": "2.0", **message}, headers=self.headers)

    async def begin(self) -> "Session":
        info = {"name": "test", "version": "1"}
        able = {"elicitation": {}, "sampling": {}, "roots": {}}
        params = {"protocolVersion": "2025-11-25", "capabilities": able, "clientInfo": info}
        answer = await self.post({"id": 0, "method": "initialize", "params": params})
        self.id = answer.headers["Mcp-Session-Id"]
        await self.post({"method": "notifications/initialized"})
        return self

    async def ask(self, method: str, **params: Any) -> Any:
        return await self.post({"id": 1, "method": method, "params": params})

    async def call(self, name: str, **arguments: Any) -> Any:
        full = name if self.path.startswith("/mcp_proxy") else f"far__{name}"
        return await self.ask("tools/call", name=full, arguments=arguments)

    async def text(self, name: str, **arguments: Any) -> str:
        *_, answer = await all_of(await self.call(name, **arguments))
        return str(answer["result"]["content"][0]["text"])

    async def stream(self) -> AsyncIterator[Any]:
        return messages(await self.client.get(self.path, headers=self.headers))


async def messages(answer: Any) -> AsyncIterator[Any]:
    if answer.content_type == "application/json":
        yield await answer.json()
        return
    async for line in answer.content:
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


async def until(stream: AsyncIterator[Any], method: str) -> Any:
    """The next message of that method; lists may change meanwhile."""
    async for message in stream:
        if message["method"] == method:
            return message
    raise AssertionError("The stream has ended")


async def all_of(answer: Any) -> list[Any]:
    return [message async for message in messages(answer)]


@both_endpoints
@pytest.mark.parametrize("method", ["elicitation/create", "sampling/createMessage", "roots/list", "ping"])
async def test_questions_reach_the_session_that_caused_them(
    client: TestClient, far: Any, path: str, method: str
) -> None:
    sessions = [await Session(client, path).begin() for _ in range(3)]

    async def asked(session: Session) -> Any:
        stream = messages(await session.call("ask", method=method, tag=session.id))
        question = await anext(stream)
        assert (question["method"], question["params"]["tag"]) == (method, session.id)
        taken = await session.post({"id": question["id"], "result": {"by": session.id}})
        assert taken.status == 202
        return json.loads((await anext(stream))["result"]["content"][0]["text"])

    said = await asyncio.gather(*map(asked, sessions))

    assert said == [{"result": {"by": session.id}} for session in sessions]


@both_endpoints
async def test_what_is_asked_unasked_goes_down_the_sessions_stream(
    client: TestClient, far: Any, path: str, transport: str
) -> None:
    one, other = [await Session(client, path).begin() for _ in range(2)]
    await one.text("echo")
    if transport == "http":
        await far.until("GET")
    stream, silent = await one.stream(), await other.stream()

    asking = asyncio.create_task(
        client.post(
            path,
            json={
                "jsonrpc": "2.0",
                "id": 1,
                "method": "tools/call",
                "params": {
                    "name": "ask" if path != "/mcp" else "far__ask",
                    "arguments": {"method": "roots/list", "unasked": True},
                },
            },
            headers={"Mcp-Session-Id": one.id, "Accept": "application/json"},
        )
    )
    question = await until(stream, "roots/list")
    await one.post({"id": question["id"], "result": {"roots": []}})
    answer = await (await asking).json()

    assert json.loads(answer["result"]["content"][0]["text"]) == {"result": {"roots": []}}
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await until(silent, "roots/list")


@both_endpoints
async def test_progress_and_log_messages_come_before_the_answer(
    client: TestClient, far: Any, path: str
) -> None:
    session = await Session(client, path).begin()
    name = "progress" if path != "/mcp" else "far__progress"

    logged = await all_of(await session.call("log", a=1))
    progress = await all_of(
        await session.ask("tools/call", name=name, arguments={"steps": 2}, _meta={"progressToken": "mine"})
    )

    assert [message.get("method") for message in logged] == ["notifications/message", None]
    assert [message["params"]["progressToken"] for message in progress[:-1]] == ["mine", "mine"]


@both_endpoints
@pytest.mark.parametrize(
    ("tool", "method"),
    [("change", "notifications/tools/list_changed"), ("update", "notifications/resources/updated")],
)
async def test_news_reach_every_session(
    client: TestClient, far: Any, path: str, transport: str, tool: str, method: str
) -> None:
    sessions = [await Session(client, path).begin() for _ in range(2)]
    for session in sessions:
        await session.ask("resources/list")
        assert "result" in await (await session.ask("resources/subscribe", uri="memory://1")).json()
        await session.text("echo")
    if transport == "http":
        await far.until("GET", 2)
    streams = [await session.stream() for session in sessions]

    await sessions[0].text(tool)

    async with asyncio.timeout(10):
        for stream in streams:
            await until(stream, method)


@both_endpoints
async def test_a_session_there_that_is_forgotten_is_not_noticed_here(
    client: TestClient, far: Any, path: str
) -> None:
    session = await Session(client, path).begin()
    await session.ask("resources/list")
    await session.ask("logging/setLevel", level="warning")
    await session.ask("resources/subscribe", uri="memory://1")
    before = json.loads(await session.text("session"))

    await far.do("forget")
    after = json.loads(await session.text("session"))

    assert after["id"] != before["id"]
    assert (after["level"], after["uris"]) == (before["level"], before["uris"]) == ("warning", ["memory://1"])


async def test_the_rest_api_lists_tools_and_shows_how_it_is_doing(
    client: TestClient, far: Any, transport: str
) -> None:
    listed = await (await client.get("/api/mcp_server/far/tools")).json()
    status = (await (await client.get("/api/mcp_server/far")).json())["status"]
    far.process.kill()
    failed = await client.post(
        "/mcp_proxy/far", json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo"}}
    )
    async with asyncio.timeout(10):
        while (away := (await (await client.get("/api/mcp_server/far")).json())["status"])[
            "state"
        ] == "running":
            await asyncio.sleep(0.02)

    assert "echo" in [tool["name"] for tool in listed["tools"]]
    assert (status["state"], status["transport"], status["next_try_at"]) == ("running", transport, None)
    assert failed.status in (502, 503)
    assert away["state"] == "error"
    assert "far" in away["last_error"]
    assert away["since"] > status["since"]


async def test_credentials_come_from_named_secrets(
    client: TestClient, start_far: Callable[..., Any], install: Any, transport: str
) -> None:
    far = start_far("--token=hush")
    await client.post("/api/secret", json={"name": "far", "value": "hush"})
    headers = {"Authorization": "Bearer ${secret:far}"}
    await install("far", {"transport": transport, "url": far.url + PLACES[transport], "headers": headers})

    assert await Session(client, "/mcp_proxy/far").text("echo", text="let in") == "let in"
    shown = await (await client.get("/api/mcp_server/far")).text()
    assert "hush" not in shown


@pytest.mark.parametrize("mcp", [McpConfig(list_timeout=8, start_timeout=30)])
async def test_a_remote_server_that_hangs_delays_nobody(
    client: TestClient, start_far: Callable[..., Any], install: Any, fake: Any
) -> None:
    await install("good", fake())
    await install("mute", {"transport": "http", "url": start_far("--mute").url + "/mcp"})
    bare = Session(client, "/mcp")
    hanging = asyncio.create_task(Session(client, "/mcp_proxy/mute").text("echo"))

    async with asyncio.timeout(15):
        await bare.ask("tools/list")
    async with asyncio.timeout(1):
        listed = await (await bare.ask("tools/list")).json()
        called = await bare.ask("tools/call", name="good__echo", arguments={"text": "quick"})

    assert "good__echo" in [tool["name"] for tool in listed["result"]["tools"]]
    assert "quick" in await called.text()
    assert not hanging.done()
    hanging.cancel()


@both_endpoints
async def test_a_large_result_goes_out_as_json_whatever_it_came_as(
    client: TestClient, far: Any, path: str
) -> None:
    answer = await (await Session(client, path).begin()).call("big")

    assert answer.content_type == "application/json"
    assert len((await answer.json())["result"]["content"][0]["text"]) == 4_000_000


async def test_a_server_that_keeps_forgetting_is_not_stormed(
    client: TestClient, start_far: Callable[..., Any], install: Any
) -> None:
    far = start_far("--forgetful=tools/list", "--no-stream")
    await install("far", {"transport": "http", "url": f"{far.url}/mcp"})
    session = await Session(client, "/mcp_proxy/far").begin()

    called = await session.text("echo", text="all the same")
    await asyncio.sleep(4)

    assert called == "all the same"
    assert len(await far.heard("initialize")) < 30


@pytest.mark.parametrize("transport", ["http"], indirect=True)
class TestSessions:
    @pytest.mark.parametrize("mcp", [McpConfig(max_sessions=2)])
    async def test_there_are_not_too_many(self, client: TestClient, far: Any) -> None:
        first, second, third = [await Session(client, "/mcp_proxy/far").begin() for _ in range(3)]

        gone = await first.call("echo")
        streams = [await session.stream() for session in (second, third)]
        refused = await Session(client, "/mcp_proxy/far").ask("initialize")

        assert gone.status == 404
        assert len(await far.until("DELETE")) == 1
        assert refused.status == 503
        assert "mcp.max_sessions" in await refused.text()
        assert len(streams) == 2

    @pytest.mark.parametrize("mcp", [McpConfig(idle_timeout=0.5)])
    async def test_idle_ones_end_here_and_there(self, client: TestClient, far: Any) -> None:
        session = await Session(client, "/mcp_proxy/far").begin()

        await far.until("DELETE")

        assert (await session.call("echo")).status == 404
        status = (await (await client.get("/api/mcp_server/far")).json())["status"]
        assert (status["state"], status["sessions"]) == ("stopped", 0)

    async def test_those_of_mcp_outlive_the_daemon_and_those_of_the_proxy_do_not(
        self, client: TestClient, config: Config, serve: Any, far: Any
    ) -> None:
        sessions = [await Session(client, path).begin() for path in ("/mcp", "/mcp_proxy/far")]
        for session in sessions:
            await session.text("echo")
        await client.close()

        again = await serve(create_app(config, os.environ))
        for session in sessions:
            session.client = again

        assert await sessions[0].text("echo", text="still here") == "still here"
        assert (await sessions[1].call("echo")).status == 404
        assert await (await Session(again, "/mcp_proxy/far").begin()).text("echo", text="anew") == "anew"


class TestSdkServers:
    @pytest.fixture
    def processes(self) -> Iterator[list[subprocess.Popen[str]]]:
        processes: list[subprocess.Popen[str]] = []
        yield processes
        for process in processes:
            process.kill()
            process.communicate()

    @pytest.fixture
    def start(self, processes: list[subprocess.Popen[str]]) -> Callable[..., str]:
        def started(kind: str, port: str = "0") -> str:
            command = [sys.executable, str(SDK), kind, port]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            processes.append(process)
            assert process.stdout is not None
            return f"http://127.0.0.1:{process.stdout.readline().strip()}{PLACES[kind]}"

        return started

    async def test_a_restart_of_the_server_is_not_noticed(
        self, client: TestClient, install: Any, start: Any, processes: Any, transport: str
    ) -> None:
        url = start(transport)
        await install("sdk", {"transport": "http", "url": url})
        session = await Session(client, "/mcp_proxy/sdk").begin()
        before = await session.text("report")

        processes[0].kill()
        processes[0].wait()
        start(transport, url.rpartition(":")[2].partition("/")[0])
        async with asyncio.timeout(20):
            while (await (await session.call("report")).text()).count("reported") == 0:
                await asyncio.sleep(0.1)

        assert before == "reported"

    @pytest.mark.parametrize("path", ["/mcp_proxy/sdk", "/mcp"])
    async def test_the_sdks_client_before_the_sdks_server(
        self, client: TestClient, install: Any, start: Any, transport: str, path: str
    ) -> None:
        await install("sdk", {"transport": "http", "url": start(transport)})
        prefix = "sdk__" if path == "/mcp" else ""
        steps: list[float] = []

        async def accept(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
            return types.ElicitResult(action="accept", content={"name": "Ada"})

        async def home(context: Any) -> types.ListRootsResult:
            return types.ListRootsResult(roots=[types.Root(uri="file:///srv/home", name="home")])

        async def count(done: float, total: float | None, message: str | None) -> None:
            steps.append(done)

        async with Client(
            str(client.make_url(path)), mode="legacy", elicitation_callback=accept, list_roots_callback=home
        ) as sdk:
            greeted = await sdk.call_tool(f"{prefix}greet", {})
            await sdk.call_tool(f"{prefix}report", {}, progress_callback=count)
            rooted = await sdk.call_tool(f"{prefix}roots", {})
            changed = await sdk.call_tool(f"{prefix}change", {})
            status = (await (await client.get("/api/mcp_server/sdk")).json())["status"]

        assert "Hello, Ada" in str(greeted.content[0])
        assert steps == [0, 1, 2]
        assert "file:///srv/home" in str(rooted.content[0])
        assert "changed" in str(changed.content[0])
        assert (status["state"], status["transport"]) == ("running", transport)

    async def test_a_server_that_wants_to_be_polled_is_polled(
        self, client: TestClient, install: Any, start: Any
    ) -> None:
        await install("sdk", {"transport": "http", "url": start("http")})

        session = await Session(client, "/mcp_proxy/sdk").begin()

        assert await session.text("poll") == "polled"

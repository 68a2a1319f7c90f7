"""A server of 2026-07-28 alone, used as if it had sessions."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from archestra_gateway.protocol import jsonrpc
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.schemas.mcp_server import HttpConfig, StdioConfig
from archestra_gateway.schemas.permissions import Permissions
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.pool import Lease, Pool
from archestra_gateway.upstreams.server import Server
from archestra_gateway.upstreams.upstream import Upstream

NEW = Path(__file__).parent.parent / "fakes" / "new_server.py"
EVERYTHING = {"elicitation": {}, "sampling": {}, "roots": {}}
ANSWERS = {
    "elicitation/create": {"action": "accept", "content": {"name": "Ada"}},
    "sampling/createMessage": {
        "role": "assistant",
        "content": {"type": "text", "text": "hello"},
        "model": "m",
    },
    "roots/list": {"roots": []},
}


@pytest.fixture(params=["stdio", "http"])
async def new(request: pytest.FixtureRequest, pool: Pool) -> AsyncIterator[Server]:
    if request.param == "stdio":
        config = StdioConfig(command=sys.executable, args=["-S", "-E", str(NEW)])
        yield Server("new", config, pool, Permissions(sandbox="off"))
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(NEW), "--http", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    yield Server("new", HttpConfig(transport="http", url=f"http://127.0.0.1:{port}/mcp"), pool)
    process.kill()
    await process.wait()


@attrs.define(eq=False)
class OldClient:
    """A session; `reply` makes the answer to what the server asks."""

    lease: Lease
    initialized: dict[str, Any]
    heard: asyncio.Queue[dict[str, Any]]
    reply: Callable[[dict[str, Any]], dict[str, Any]]

    @property
    def upstream(self) -> Upstream:
        return self.lease.upstream

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        return plain(await self.upstream.call(Call(jsonrpc.request(7, method, params), self.put)))

    def call(self, tool: str, **arguments: Any) -> Any:
        return self.ask("tools/call", name=tool, arguments=arguments)

    async def text(self, tool: str, **arguments: Any) -> str:
        return str((await self.call(tool, **arguments))["result"]["content"][0]["text"])

    def put(self, message: Message) -> bool:
        self.heard.put_nowait(plain(message))
        return True

    async def answer_for_ever(self) -> None:
        while True:
            question = await self.heard.get()
            answer = {"jsonrpc": "2.0", "id": question["id"], **self.reply(question)}
            await self.upstream.send(jsonrpc.decode(json.dumps(answer).encode()))


def plain(message: Message) -> dict[str, Any]:
    return {name: jsonrpc.value(text) for name, text in message.items()}


@pytest.fixture
async def begin(new: Server) -> Callable[..., Any]:
    async def begun(capabilities: dict[str, Any] | None = None, version: str = "2025-06-18") -> OldClient:
        params = {
            "protocolVersion": version,
            "capabilities": capabilities or {},
            "clientInfo": {"name": "old", "version": "1"},
        }
        client = OldClient(None, {}, asyncio.Queue(), lambda _: {})  # type: ignore[arg-type]
        opening = Call(jsonrpc.request("first", "initialize", params))
        lease, answer = await new.open_session(
            opening, lambda message, causes: client.put(message), lambda: None
        )
        client.lease, client.initialized = lease, plain(answer)
        await lease.upstream.send(jsonrpc.notification("notifications/initialized"))
        return client

    return begun


@pytest.fixture
def answering() -> Iterator[Callable[..., None]]:
    tasks: list[asyncio.Task[None]] = []

    def answer(client: OldClient, reply: Callable[[dict[str, Any]], dict[str, Any]] | None = None) -> None:
        client.reply = reply or (lambda question: {"result": ANSWERS[question["method"]]})
        tasks.append(asyncio.create_task(client.answer_for_ever()))

    yield answer
    for task in tasks:
        task.cancel()


async def test_initialize_is_answered_from_what_it_discovers(begin: Any, new: Server) -> None:
    client = await begin(version="2024-11-05")
    latest = await begin(version="1999-01-01")

    assert client.initialized == {
        "jsonrpc": "2.0",
        "id": "first",
        "result": {
            "protocolVersion": "2024-11-05",
            "capabilities": {
                "tools": {"listChanged": True},
                "resources": {"subscribe": True, "listChanged": True},
                "logging": {},
            },
            "serverInfo": {"name": "new", "version": "1"},
            "instructions": "Be new.",
        },
    }
    assert latest.initialized["result"]["protocolVersion"] == "2025-11-25"
    assert new.status().protocol_version == "2026-07-28"


async def test_its_era_is_found_out_once(begin: Any, new: Server) -> None:
    first, second = await begin(), await begin()

    asked_first, asked_then = [json.loads(await client.text("methods")) for client in (first, second)]

    assert asked_first.count("initialize") == 1
    assert asked_then.count("initialize") == isinstance(new.config, HttpConfig)  # one process for both


async def test_a_call_carries_the_clients_envelope(begin: Any) -> None:
    client = await begin({"sampling": {"tools": {}}})

    answer = await client.ask("tools/call", name="received", _meta={"mine": 1})

    assert answer["id"] == 7
    assert answer["result"].keys() == {"content", "_meta"}
    assert json.loads(answer["result"]["content"][0]["text"])["_meta"] == {
        "mine": 1,
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"sampling": {"tools": {}}},
        "io.modelcontextprotocol/clientInfo": {"name": "old", "version": "1"},
    }


async def test_a_shared_call_needs_no_session(new: Server, call: Any) -> None:
    answer = await call(new, "echo", text="hi")
    tools = await new.tools()

    assert answer["result"]["content"][0]["text"] == "hi"
    assert "ask_name" in {tool["name"] for tool in tools}


async def test_what_it_asks_reaches_the_client_and_the_call_goes_on(begin: Any, answering: Any) -> None:
    client = await begin(EVERYTHING)
    answering(client)

    name = await client.text("ask_name")
    everything = json.loads(await client.text("ask_all"))
    waited = await client.text("wait_for_state")

    assert name == "Ada, kept by the client"
    assert everything == {
        "name": ANSWERS["elicitation/create"],
        "model": ANSWERS["sampling/createMessage"],
        "roots": ANSWERS["roots/list"],
    }
    assert waited == "ready"


async def test_it_may_ask_again(begin: Any, answering: Any) -> None:
    client = await begin(EVERYTHING)
    names = iter(["", "Ada"])
    answering(client, lambda _: {"result": {"action": "accept", "content": {"name": next(names)}}})

    assert await client.text("ask_name") == "Ada, kept by the client"


async def test_a_client_that_refuses_ends_the_call(begin: Any, answering: Any) -> None:
    client = await begin(EVERYTHING)
    answering(client, lambda _: {"error": {"code": -1, "message": "The person said no"}})

    assert (await client.call("ask_name"))["error"] == {"code": -1, "message": "The person said no"}


async def test_a_client_is_not_asked_for_what_it_did_not_declare(begin: Any) -> None:
    client = await begin({"elicitation": {}})
    nothing = await begin()

    everything = await client.call("ask_all")
    name = await nothing.call("ask_name")

    assert everything["error"]["code"] == name["error"]["code"] == -32021
    assert name["error"]["data"] == {"requiredCapabilities": {"elicitation": {}}}


async def test_a_cancel_reaches_the_server(begin: Any) -> None:
    client = await begin()
    request = jsonrpc.request(
        1, "tools/call", {"name": "slow", "arguments": {"tag": "x"}, "_meta": {"progressToken": 1}}
    )
    working = asyncio.create_task(client.upstream.call(Call(request, client.put)))
    progress = await client.heard.get()
    working.cancel()

    async with asyncio.timeout(5):
        while await client.text("what_was_cancelled") != '["x"]':
            await asyncio.sleep(0.02)
    assert progress["params"] == {"progressToken": 1, "progress": 1}


async def test_news_come_without_being_asked_for(begin: Any) -> None:
    client = await begin()

    async with asyncio.timeout(5):
        while client.heard.empty():
            await client.call("change_tools")

    assert (await client.heard.get()) == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}


async def test_a_resource_is_subscribed_to_and_let_go(begin: Any) -> None:
    client = await begin()
    before = await client.call("update_resource")
    await client.ask("resources/subscribe", uri="memory://1")
    await client.call("update_resource")
    async with asyncio.timeout(5):
        news = await client.heard.get()
    await client.ask("resources/unsubscribe", uri="memory://1")
    await client.call("update_resource")
    await client.call("update_resource")

    assert "result" in before
    assert (news["method"], news["params"]) == ("notifications/resources/updated", {"uri": "memory://1"})
    assert client.heard.empty()


async def test_a_level_goes_with_every_call(begin: Any) -> None:
    client = await begin()

    await client.call("log")
    quiet = client.heard.empty()
    await client.ask("logging/setLevel", level="warning")
    await client.call("log")

    assert quiet
    assert (await client.heard.get())["params"] == {"level": "warning", "data": "logged"}


async def test_what_is_not_there_has_the_number_of_the_old_era(begin: Any) -> None:
    client = await begin()

    missing = await client.ask("resources/read", uri="memory://2")
    read = await client.ask("resources/read", uri="memory://1")

    assert missing["error"]["code"] == -32002
    assert read["result"]["contents"][0]["text"] == "one"
    assert (await client.ask("ping"))["result"] == {}


async def test_arguments_are_repeated_as_headers(begin: Any) -> None:
    client = await begin()

    assert await client.text("region", region="grün") == "grün"
    assert await client.text("region") == "none"


async def test_a_page_to_visit_has_what_the_old_era_wants(begin: Any, answering: Any) -> None:
    client = await begin({"elicitation": {"url": {}}})
    asked: list[dict[str, Any]] = []
    answering(client, lambda question: asked.append(question) or {"result": {"action": "accept"}})

    answered = await client.text("visit")

    assert json.loads(answered) == {"page": {"action": "accept"}}
    assert asked[0]["params"]["elicitationId"] == asked[0]["id"]


async def test_after_a_gap_everything_is_news(begin: Any) -> None:
    client = await begin()
    await client.ask("resources/subscribe", uri="memory://1")

    await client.call("hang_up")
    async with asyncio.timeout(10):
        heard = [await client.heard.get() for _ in range(3)]

    assert {message["method"] for message in heard} == {
        "notifications/tools/list_changed",
        "notifications/resources/list_changed",
        "notifications/resources/updated",
    }

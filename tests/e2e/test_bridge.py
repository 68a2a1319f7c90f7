"""`mcp-stdio`: programs that only start a command, the daemon behind it, and what happens when that ends."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client

ROOT = Path(__file__).parent.parent.parent
CHILD = Path(__file__).parent.parent / "fakes" / "mcp_child.py"
COMMAND = (sys.executable, "-m", "archestra_gateway")
CLAUDE = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "claude-ai", "version": "0.1.0"},
}
"""What Claude Desktop's published logs show."""


@attrs.define
class Bridge:
    """A client's end of the pipe."""

    process: subprocess.Popen[bytes]
    lines: "queue.Queue[bytes]" = attrs.field(factory=queue.Queue)
    reader: threading.Thread = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)

    def write(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def send(self, method: str, params: Any = None, **more: Any) -> None:
        message = {"jsonrpc": "2.0", "method": method, **more}
        self.write(json.dumps(message if params is None else {**message, "params": params}))

    def line(self, seconds: float = 20) -> str:
        """Raises queue.Empty when nothing comes."""
        return self.lines.get(timeout=seconds).decode()

    def ask(self, method: str, params: Any = None, identifier: Any = 1) -> Any:
        """The answer; what the daemon says unasked meanwhile is passed over."""
        self.send(method, params, id=identifier)
        while "id" not in (answer := json.loads(self.line())):
            assert answer["method"].startswith("notifications/")
        assert answer["id"] == identifier, answer
        return answer

    def call(self, tool: str, identifier: Any = 1, **arguments: Any) -> Any:
        return self.ask("tools/call", {"name": tool, "arguments": arguments}, identifier)

    def initialize(self, params: Any = CLAUDE) -> Any:
        answer = self.ask("initialize", params, 0)
        self.send("notifications/initialized")
        return answer

    def end(self) -> str:
        """What was left on stdout."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(20) == 0
        self.reader.join()
        assert self.process.stderr is not None
        errors = self.process.stderr.read().decode()
        assert "Traceback" not in errors, errors
        return b"".join(self.lines.queue).decode()


@pytest.fixture
def bridge(environment: dict[str, str]) -> Iterator[Callable[..., Bridge]]:
    environment["ARCHESTRA_SERVER_PORT"] = "0"
    with ExitStack() as ends:

        def start_bridge(*words: str) -> Bridge:
            process = subprocess.Popen(
                [*COMMAND, "mcp-stdio", *words],
                env=environment,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            started = Bridge(process)
            ends.callback(finish, started)
            return started

        yield start_bridge


def finish(bridge: Bridge) -> None:
    process = bridge.process
    process.kill()
    process.wait()
    bridge.reader.join()
    for stream in (process.stdin, process.stdout, process.stderr):
        assert stream is not None
        with suppress(BrokenPipeError):
            stream.close()


@pytest.fixture
def stopped(run: Any) -> Iterator[None]:
    """For daemons that a bridge has started."""
    yield
    run("stop")


def install(daemon: Any, name: str = "fake", *flags: str) -> None:
    config = {"transport": "stdio", "command": sys.executable, "args": ["-S", str(CHILD), *flags]}
    wanted = {"name": name, "server_config": config, "permissions": {"sandbox": "off"}}  # it writes files
    with daemon.request("/api/mcp_server", wanted) as answer:
        assert answer.status == 201, answer.read()


@pytest.fixture
def daemon(start: Any) -> Any:
    """With a fake server in it."""
    daemon = start()
    install(daemon)
    return daemon


def kill(daemon: Any) -> None:
    daemon.process.kill()
    daemon.process.wait()


def text_of(answer: Any) -> str:
    return str(answer["result"]["content"][0]["text"])


def pid_of(told: str) -> int:
    return int(json.loads(told)["instance"]["pid"])


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25"])
def test_claude_desktop_shakes_hands(daemon, bridge, version) -> None:
    claude = bridge("--server", "fake", "--client", "claude-desktop")

    opened = claude.initialize({**CLAUDE, "protocolVersion": version})
    tools = claude.ask("tools/list", {}, 1)
    prompts = claude.ask("prompts/list", {}, 2)
    resources = claude.ask("resources/list", {}, 3)
    echoed = claude.call("echo", "four", text="hi")

    assert opened["result"]["protocolVersion"] == version
    assert opened["result"]["serverInfo"]["name"] == "fake"
    assert tools["result"]["tools"][0]["name"] == "echo"
    assert prompts["error"]["code"] == resources["error"]["code"] == -32601
    assert (echoed["id"], text_of(echoed)) == ("four", "hi")
    assert claude.end() == ""


def test_the_log_names_the_client(daemon, bridge) -> None:
    claude = bridge("--server", "fake", "--client", "claude-desktop")
    claude.initialize()
    claude.call("echo")

    with daemon.request("/api/mcp_request_log") as answer:
        rows = json.loads(answer.read())["data"]

    assert {row["client_info"]["client_name"] for row in rows} == {"claude-desktop"}


def test_the_end_of_stdin_ends_the_session(daemon, bridge) -> None:
    claude = bridge("--server", "fake")
    claude.initialize()
    told = json.loads(text_of(claude.call("environment")))

    claude.end()

    deadline = time.monotonic() + 10
    while Path(f"/proc/{told['pid']}/cmdline").exists() and time.monotonic() < deadline:
        if not Path(f"/proc/{told['pid']}/cmdline").read_bytes():
            break  # nobody has buried it
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{told['pid']}").exists()


def test_what_was_asked_before_the_end_of_stdin_is_answered(daemon, bridge) -> None:
    claude = bridge("--server", "fake")
    claude.initialize()
    claude.send("tools/call", {"name": "slow", "arguments": {"seconds": 0.5}}, id=7)

    assert json.loads(claude.end())["id"] == 7


def test_sigterm_ends_it_at_once(daemon, bridge) -> None:
    claude = bridge("--server", "fake")
    claude.initialize()
    claude.send("tools/call", {"name": "slow", "arguments": {"seconds": 60}}, id=7)
    time.sleep(0.2)
    began = time.monotonic()

    claude.process.send_signal(signal.SIGTERM)
    claude.end()

    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("sent", "code"), [("{", -32700), ("[]", -32600), ('{"jsonrpc":"2.0","id":1}', -32600), ("\0", -32700)]
)
def test_what_is_no_message_is_answered_and_harms_nothing(daemon, bridge, sent, code) -> None:
    claude = bridge("--server", "fake")
    claude.initialize()

    claude.write(sent)

    assert json.loads(claude.line())["error"]["code"] == code
    assert text_of(claude.call("echo", text="still here")) == "still here"


def test_large_and_strange_messages_pass(daemon, bridge) -> None:
    claude = bridge("--server", "fake")
    claude.initialize()
    large = "ü" * 2_000_000
    half = '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"surrogate","x":"\\ud83d"}}\r'

    assert text_of(claude.call("echo", text=large)) == large
    assert len(text_of(claude.call("big", size=4_000_000))) == 4_000_000
    claude.write("\r\n" + half)
    assert '"half":"\\ud83d","big":123456789012345678901234567890' in claude.line()
    spread = claude.call("spread")
    assert spread["result"] == {"spaces": [1]}


def test_answers_come_in_their_own_order(daemon, bridge) -> None:
    claude = bridge("--server", "fake")
    claude.initialize()
    claude.send("tools/call", {"name": "slow", "arguments": {"seconds": 0.5}}, id="slow")
    claude.send("tools/call", {"name": "echo", "arguments": {}}, id="quick")

    assert [json.loads(claude.line())["id"] for _ in range(2)] == ["quick", "slow"]


def test_a_cancelled_call_is_cancelled_at_the_server(daemon, bridge) -> None:
    claude = bridge("--server", "fake")
    claude.initialize()
    claude.call("echo")
    claude.send("tools/call", {"name": "slow", "arguments": {"seconds": 60}}, id=7)
    claude.call("echo", 6)  # by now the other is there
    claude.send("notifications/cancelled", {"requestId": 7})

    heard = [json.loads(claude.line()), claude.call("cancelled", 8)]

    by_id = {each["id"]: each for each in heard}
    assert "error" in by_id[7]
    assert "notifications/cancelled" in text_of(by_id[8])


async def test_the_python_sdk_hears_progress_and_answers_questions(daemon, environment) -> None:
    heard: list[float] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        heard.append(done)

    async def sample(context: Any, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
        content = types.TextContent(type="text", text="sampled")
        return types.CreateMessageResult(role="assistant", content=content, model="none")

    arguments = ["-m", "archestra_gateway", "mcp-stdio", "--server", "fake"]
    program = StdioServerParameters(command=sys.executable, args=arguments, env=environment, cwd=str(ROOT))
    async with (
        stdio_client(program) as (read, write),
        ClientSession(read, write, sampling_callback=sample) as session,
    ):
        opened = await session.initialize()
        tools = await session.list_tools()
        echoed = await session.call_tool("echo", {"text": "hi"})
        await session.call_tool("progress", {"steps": 2}, progress_callback=progress)
        sampled = await session.call_tool("sample", {})

    assert opened.server_info.name == "fake"
    assert "echo" in [tool.name for tool in tools.tools]
    assert isinstance(echoed.content[0], types.TextContent)
    assert echoed.content[0].text == "hi"
    assert heard == [0, 1]
    assert "sampled" in str(sampled.content[0])


def test_what_the_server_says_unasked_comes_through(daemon, bridge) -> None:
    first, second = bridge("--server", "fake"), bridge("--server", "fake")
    first.initialize()
    second.initialize()

    second.send("tools/call", {"name": "change_tools", "arguments": {}}, id=1)

    assert json.loads(first.line())["method"] == "notifications/tools/list_changed"


def test_a_restart_of_the_daemon_is_not_noticed(daemon, bridge, start) -> None:
    claude = bridge("--server", "fake")
    claude.initialize()
    claude.call("echo", text="before")

    kill(daemon)
    start()

    assert text_of(claude.call("echo", text="after")) == "after"
    first = text_of(claude.call("environment"))
    assert json.loads(first)["pid"] == json.loads(text_of(claude.call("environment")))["pid"]
    assert claude.end() == ""


def test_unasked_messages_go_on_after_a_restart(daemon, bridge, start) -> None:
    first, second = bridge("--server", "fake"), bridge("--server", "fake")
    first.initialize()
    first.call("echo")

    kill(daemon)
    start()
    second.initialize()

    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:  # first opens its session again by itself, a moment after the start
        second.send("tools/call", {"name": "change_tools", "arguments": {}}, id=1)
        with suppress(queue.Empty):
            heard = json.loads(first.line(0.5))
            break
    assert heard["method"] == "notifications/tools/list_changed"


def test_a_call_under_way_when_the_daemon_is_killed_is_answered_and_not_repeated(
    daemon, bridge, start, tmp_path
) -> None:
    install(daemon, "counted", f"--starts={tmp_path / 'starts'}")
    claude = bridge("--server", "counted")
    claude.initialize()
    claude.send("tools/call", {"name": "slow", "arguments": {"seconds": 60}}, id=7)
    time.sleep(0.5)

    kill(daemon)

    answer = json.loads(claude.line())
    assert answer["id"] == 7
    assert answer["error"]["code"] == -32000
    assert "it was not repeated" in answer["error"]["message"]
    start()
    assert text_of(claude.call("echo", 8, text="after")) == "after"
    assert len((tmp_path / "starts").read_text().splitlines()) == 2


def test_a_daemon_that_does_not_run_is_started_and_stays(bridge, run, stopped) -> None:
    claude = bridge("--server", "filesystem-server")

    opened = claude.initialize()
    claude.end()
    status = run("status", "--json")

    assert opened["result"]["serverInfo"]["name"] == "filesystem-server"
    assert status.returncode == 0
    assert os.getsid(pid_of(status.stdout)) != os.getsid(0)
    log = Path(json.loads(status.stdout)["instance"]["data_dir"]) / "daemon.log"
    assert "Listening on" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_daemon_that_was_killed_is_started_again_by_the_next_call(daemon, bridge, run, stopped) -> None:
    claude = bridge("--server", "fake")
    claude.initialize()
    kill(daemon)

    assert text_of(claude.call("echo", text="again")) == "again"
    assert run("status").returncode == 0


def test_ten_bridges_at_once_start_one_daemon(bridge, run, environment, stopped) -> None:
    bridges = [bridge("--server", "filesystem-server") for _ in range(10)]
    for number, each in enumerate(bridges):
        each.send("tools/list", {}, id=number)

    answers = [json.loads(each.line(60)) for each in bridges]

    assert [answer["id"] for answer in answers] == list(range(10))
    assert all("result" in answer for answer in answers)
    log = Path(environment["ARCHESTRA_SERVER_DATA_DIR"]) / "daemon.log"
    assert log.read_text().count("Listening on") == 1
    assert "already running" not in log.read_text()


def test_a_daemon_that_can_not_start_says_why(bridge, environment) -> None:
    environment["ARCHESTRA_SERVER_BIND"] = "192.0.2.1"
    claude = bridge("--server", "filesystem-server")

    answer = claude.ask("initialize", CLAUDE)

    assert answer["error"]["message"].startswith("The gateway could not be started: ")
    assert "192.0.2.1" in answer["error"]["message"]
    assert claude.ask("ping", identifier=2)["error"]


def test_an_unknown_server_is_named(daemon, bridge) -> None:
    answer = bridge("--server", "nobody").ask("initialize", CLAUDE)

    assert answer["id"] == 1
    assert "nobody" in json.dumps(answer["error"])


def modern(name: str, **arguments: Any) -> dict[str, Any]:
    """A tools/call of 2026-07-28, which needs no session."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "new", "version": "1"},
    }
    return {"name": name, "arguments": arguments, "_meta": meta}


def test_without_a_server_it_is_the_gateway_itself(daemon, bridge) -> None:
    claude = bridge("--client", "claude-desktop")

    opened = claude.initialize()
    answer = claude.ask("tools/list", {}, 1)

    assert opened["result"]["serverInfo"]["name"] == "archestra-gateway"
    assert "fake__echo" in [tool["name"] for tool in answer["result"]["tools"]]


def test_a_limited_token_lets_in_and_administers_nothing(start, run, environment) -> None:
    environment["ARCHESTRA_SECURITY_REQUIRE_TOKEN"] = "true"
    daemon = start()
    limited = {"Authorization": f"Bearer {run('token', '--limited').stdout.strip()}"}
    wanted = {"name": "x", "server_config": {"command": "true"}}

    with daemon.request("/api/mcp_server", **limited) as answer:
        assert answer.status == 200
    with daemon.request("/api/mcp_server", wanted, **limited) as answer:
        assert (answer.status, "may not administer" in answer.read().decode()) == (403, True)


@pytest.mark.parametrize("words", [("--client", "claude-desktop"), ()])
def test_a_program_behind_it_uses_the_gateway_and_does_not_administer_it(
    start, bridge, environment, words
) -> None:
    environment["ARCHESTRA_SECURITY_REQUIRE_TOKEN"] = "true"
    start()
    claude = bridge(*words)
    claude.initialize()

    names = [tool["name"] for tool in claude.ask("tools/list")["result"]["tools"]]
    used = claude.call("list_installed_mcp_servers", 2)
    refused = claude.call("stop_mcp_server", 3, name="filesystem-server")

    assert "get_context" in names
    assert "stop_mcp_server" not in names
    assert used["result"]["structuredContent"]["servers"][0]["name"] == "filesystem-server"
    assert refused["result"]["isError"]
    assert "may not administer" in text_of(refused)


def test_messages_of_the_new_era_pass(daemon, bridge) -> None:
    claude = bridge()

    answer = claude.ask("tools/call", modern("fake__echo", text="hi"))

    assert answer["result"]["resultType"] == "complete"
    assert text_of(answer) == "hi"


def test_a_cancelled_call_of_the_new_era_is_left(daemon, bridge) -> None:
    claude = bridge()
    claude.ask("tools/call", modern("fake__echo"), 6)
    claude.send("tools/call", modern("fake__slow", seconds=60), id=7)
    time.sleep(0.5)
    claude.send("notifications/cancelled", {"requestId": 7})

    deadline = time.monotonic() + 10
    while "notifications/cancelled" not in text_of(claude.ask("tools/call", modern("fake__cancelled"), 8)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert claude.end() == ""  # nothing answers what was cancelled


def test_the_first_answer_is_there_in_no_time(daemon, bridge) -> None:
    with daemon.request("/mcp_proxy/fake", {"jsonrpc": "2.0", "id": 1, "method": "ping"}) as answer:
        answer.read()
    seconds, bare = [], []
    for _ in range(5):
        began = time.monotonic()
        bridge("--server", "fake").ask("ping")
        seconds.append(time.monotonic() - began)
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        bare.append(time.monotonic() - began)

    assert min(seconds) < max(0.4, 12 * min(bare))  # of a busy machine nobody expects more

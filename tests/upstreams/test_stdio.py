"""A child process as an MCP server: what it says arrives, and however it ends, nobody waits in vain."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archestra_gateway.config import McpConfig
from archestra_gateway.errors import GatewayError, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from archestra_gateway.protocol import jsonrpc
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.server import Server

Fake = Callable[..., Server]


def text(answer: dict[str, Any]) -> str:
    return str(answer["result"]["content"][0]["text"])


async def gone(pid: int) -> None:
    """Wait for its end; a zombie that nobody reaps has ended too."""
    status = Path(f"/proc/{pid}/status")
    async with asyncio.timeout(5):
        while status.exists() and "State:\tZ" not in status.read_text():
            await asyncio.sleep(0.02)


async def test_a_tool_answers_with_the_callers_own_id(fake: Fake, call: Any) -> None:
    upstream = await fake().shared()

    answers = await asyncio.gather(
        *(
            call.on(upstream, "echo", {"text": str(number)}, identifier)
            for number, identifier in enumerate([1, "1", 1, "x"])
        )
    )

    assert [(answer["id"], text(answer)) for answer in answers] == [
        (1, "0"),
        ("1", "1"),
        (1, "2"),
        ("x", "3"),
    ]


async def test_unknown_members_pass_in_both_directions(fake: Fake, call: Any) -> None:
    answer = await call(fake(), "arguments", deep={"a": [1, 1.5, None]})

    assert answer["result"]["_arguments"] == {"deep": {"a": [1, 1.5, None]}}
    assert answer["result"]["_unknown"] == {"kept": [1, 1.10, None]}


async def test_strange_but_legal_json_passes_byte_for_byte(fake: Fake) -> None:
    upstream = await fake().shared()

    message = {
        **jsonrpc.request(1, "tools/call"),
        "params": jsonrpc.Raw(b'{"name":"surrogate",\n"x":"\\ud800"}'),
    }
    answer = await upstream.call(Call(message))

    assert bytes(answer["result"]) == b'{"half":"\\ud83d","big":123456789012345678901234567890}'


async def test_a_message_with_spaces_and_a_carriage_return_is_understood(fake: Fake, call: Any) -> None:
    assert (await call(fake(), "spread"))["result"] == {"spaces": [1]}


async def test_a_large_result_passes(fake: Fake, call: Any) -> None:
    assert len(text(await call(fake(), "big", size=4_000_000))) == 4_000_000


async def test_a_large_argument_passes(fake: Fake, call: Any) -> None:
    assert text(await call(fake(), "echo", text="y" * 4_000_000)) == "y" * 4_000_000


async def test_rubbish_on_stdout_is_skipped_and_shown(fake: Fake, call: Any) -> None:
    server = fake("--greet")

    assert text(await call(server, "rubbish")) == "after rubbish"

    shown = "\n".join(server.stderr.last(20))
    assert "Welcome to my server!" in shown
    assert "this is not JSON" in shown


async def test_progress_carries_the_callers_token(fake: Fake, call: Any) -> None:
    upstream = await fake().shared()
    heard: list[jsonrpc.Message] = []

    await call.on(upstream, "progress", {"steps": 2}, listener=heard.append, _meta={"progressToken": "mine"})

    said = [jsonrpc.value(message["params"]) for message in heard]
    assert said == [{"progressToken": "mine", "progress": step, "extra": "kept"} for step in (0, 1)]


async def test_a_server_that_dies_fails_everybody_at_once_and_the_next_call_works(
    fake: Fake, call: Any
) -> None:
    server = fake()
    upstream = await server.shared()
    waiting = [asyncio.create_task(call.on(upstream, "silence")) for _ in range(3)]
    await call(server, "echo")

    with pytest.raises(UpstreamError, match=r"ended with exit code 3\. It last said: something broke badly"):
        await call.on(upstream, "crash")

    outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 1)
    assert all(isinstance(outcome, UpstreamError) for outcome in outcomes)
    assert text(await call(server, "echo", text="again")) == "again"
    assert server.status().restarts == 1


async def test_a_killed_server_is_named_with_its_signal(fake: Fake, call: Any) -> None:
    server = fake()
    upstream = await server.shared()
    waiting = asyncio.create_task(call.on(upstream, "silence"))
    await call(server, "echo")

    os.kill(upstream.pid, signal.SIGKILL)

    with pytest.raises(UpstreamError, match="was ended by SIGKILL"):
        await waiting


async def test_a_grandchild_that_holds_the_pipes_delays_nobody(fake: Fake, call: Any, tmp_path: Any) -> None:
    server = fake(f"--grandchild={tmp_path / 'pid'}")

    with pytest.raises(UpstreamError, match="exit code 3"):
        await asyncio.wait_for(call(server, "crash"), 5)

    await gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("limits", [McpConfig(request_timeout=0.3)])
async def test_silence_is_an_error_that_the_server_hears_too(fake: Fake, call: Any) -> None:
    server = fake()

    with pytest.raises(UpstreamTimeout, match=r"did not answer `tools/call` within 0\.3 seconds"):
        await call(server, "silence")

    heard = json.loads(text(await call(server, "cancelled")))
    assert heard[-1]["method"] == "notifications/cancelled"
    assert heard[-1]["params"]["reason"] == "timed out"


@pytest.mark.parametrize("limits", [McpConfig(request_timeout=0.4)])
async def test_progress_prolongs_patience(fake: Fake, call: Any) -> None:
    upstream = await fake().shared()

    answer = await call.on(upstream, "progress", {"steps": 4, "pause": 0.2}, _meta={"progressToken": 7})

    assert text(answer) == "done"


@pytest.mark.parametrize("limits", [McpConfig(request_timeout=0.4, max_request_timeout=0.8)])
async def test_progress_does_not_prolong_it_for_ever(fake: Fake, call: Any) -> None:
    upstream = await fake().shared()

    with pytest.raises(UpstreamTimeout):
        await call.on(upstream, "progress", {"steps": 50, "pause": 0.1}, _meta={"progressToken": 7})


@pytest.mark.parametrize("limits", [McpConfig(request_timeout=0.6)])
async def test_an_answer_that_comes_too_late_is_dropped(fake: Fake, call: Any) -> None:
    server = fake()

    with pytest.raises(UpstreamTimeout):
        await call(server, "late")

    assert text(await call(server, "late")) == "in time"


async def test_a_caller_that_leaves_cancels(fake: Fake, call: Any) -> None:
    server = fake()
    leaving = asyncio.create_task(call(server, "slow", seconds=30))
    await call(server, "echo")

    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving

    assert json.loads(text(await call(server, "cancelled")))[-1]["params"]["reason"] == "the client left"


async def test_a_flood_on_stderr_blocks_nothing_and_the_end_of_it_is_kept(fake: Fake, call: Any) -> None:
    server = fake()

    assert text(await call(server, "flood_stderr", lines=20_000)) == "flooded"

    await asyncio.wait_for(server.stderr.wait(19_999), 5)
    assert server.stderr.last(1)[0].startswith("line 19999 ")
    assert len(server.stderr.since(0)) == 1000


async def test_last_words_are_the_childs_own(fake: Fake, call: Any) -> None:
    server = fake()
    upstream = await server.shared()
    await call.on(upstream, "say_stderr", {"text": "the last word"})
    server.stderr.note("a remark of the gateway")
    server.stderr.append([b"what another process said"])

    os.kill(upstream.pid, signal.SIGKILL)

    with pytest.raises(UpstreamError, match=r"was ended by SIGKILL\. It last said: the last word$"):
        await call.on(upstream, "silence")


async def test_known_secrets_are_not_shown_in_stderr(fake: Fake, call: Any) -> None:
    server = fake()

    await call(server, "say_stderr", text="the password is hunter22")

    await asyncio.wait_for(server.stderr.wait(0), 5)
    assert server.stderr.last(1) == ["the password is [redacted]"]


@pytest.mark.parametrize("limits", [McpConfig(max_message=1_000_000)])
async def test_an_endless_line_ends_the_server_and_not_the_gateway(fake: Fake, call: Any) -> None:
    server = fake()

    with pytest.raises(UpstreamError, match="a message that is too long"):
        await call(server, "endless_line")

    assert text(await call(server, "echo", text="next")) == "next"


async def test_nothing_of_the_daemons_environment_reaches_a_server(fake: Fake, call: Any) -> None:
    answer = await call(fake(env={"OWN": "1"}), "environment")

    env = json.loads(text(answer))["env"]
    assert env["OWN"] == "1"
    assert "DAEMON_SECRET" not in env
    assert set(env) <= {"HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "PATH", "OWN"} | {
        name for name in env if name.startswith("LC_")
    }


async def test_a_stubborn_server_and_what_it_started_end_all_the_same(
    fake: Fake, call: Any, tmp_path: Any
) -> None:
    server = fake("--stubborn", f"--grandchild={tmp_path / 'pid'}")
    pid = (await server.shared()).pid

    await server.stop()

    assert not os.path.exists(f"/proc/{pid}")
    await gone(int((tmp_path / "pid").read_text()))


async def test_a_missing_command_is_a_sentence_with_advice(fake: Fake) -> None:
    server = fake()
    server.config = type(server.config)(command="npx-that-is-not-there")

    with pytest.raises(
        UpstreamUnavailable, match=r"`npx-that-is-not-there` was not found; looked in .*Install it"
    ):
        await server.shared()

    assert server.status().state == "error"


async def test_a_program_that_can_not_run_is_a_sentence(fake: Fake, tmp_path: Any) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\0not a program")
    program.chmod(0o755)
    server = fake()
    server.config = type(server.config)(command=str(program))

    with pytest.raises(GatewayError, match="could not be started"):
        await server.shared()


@pytest.mark.parametrize("limits", [McpConfig(request_timeout=0.5)])
async def test_a_server_that_does_not_read_holds_nobody_up_for_ever(fake: Fake, call: Any) -> None:
    server = fake()
    upstream = await server.shared()
    os.kill(upstream.pid, signal.SIGSTOP)
    try:
        with pytest.raises(UpstreamTimeout):
            await call.on(upstream, "echo", {"text": "x" * 8_000_000})
        with pytest.raises(UpstreamTimeout):
            await upstream.send(jsonrpc.notification("notifications/roots/list_changed"))
    finally:
        os.kill(upstream.pid, signal.SIGCONT)

    assert text(await call(server, "echo", text="again")) == "again"

"""A model server whose model's name says what it does; it speaks as Ollama, OpenAI and Anthropic do.

Run as a program it prints its port. `GET /asked` gives the requests that it got.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

ASKED: list[dict[str, Any]] = []
RELEASED = asyncio.Event()

Step = list[Any]
CUT = object()
STALL = object()
STAMP = object()


def text(*words: str) -> Step:
    return [{"content": word} for word in words]


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"tool_calls": [{"function": {"name": name, "arguments": arguments}}]}


def results(asked: dict[str, Any]) -> list[str]:
    return [str(message["content"]) for message in asked["messages"] if message["role"] == "tool"]


def after_tool(asked: dict[str, Any], *first: Any) -> Step:
    """Calls first; then the answer says what came back."""
    given = results(asked)
    return text("The tool said: ", "; ".join(given)[-300:]) if given else list(first)


def script(model: str, asked: dict[str, Any]) -> Step:
    if any("Write a title" in str(message["content"]) for message in asked["messages"]):
        return text('"A fine title"')
    count = len(results(asked))
    scripts: dict[str, Any] = {
        "words": lambda: text("Hello", " from", " the", " script."),
        "thinks": lambda: [{"thinking": "Let me"}, {"thinking": " see."}, *text("Done.")],
        "think-tags": lambda: text("<thi", "nk>Let me see.</th", "ink>Done."),
        "echoes": lambda: after_tool(asked, {"thinking": "I call."}, call("fake__echo", text="ping")),
        "calls-two": lambda: after_tool(
            asked, call("fake__echo", text="one"), call("fake__echo", text="two")
        ),
        "slow-tool": lambda: after_tool(asked, call("fake__slow", seconds=60)),
        "slow-and-quick": lambda: after_tool(
            asked, call("fake__slow", seconds=0.5), call("fake__echo", text="quick")
        ),
        "big-tool": lambda: after_tool(asked, call("fake__big", size=200_000)),
        "crash-tool": lambda: after_tool(asked, call("fake__crash")),
        "unknown-tool": lambda: after_tool(asked, call("fake__nothing")),
        "short-name": lambda: after_tool(asked, call("echo", text="short")),
        "reads-remote": lambda: after_tool(asked, call("remote__read")),
        "client-tool": lambda: after_tool(asked, call("ask_user", question="Why?")),
        "writes-json": lambda: (
            after_tool(asked)
            if count
            else text('```json\n{"na', 'me": "fake__echo", ', '"arguments": {"text": "written"}}\n', "```")
        ),
        "json-text": lambda: text('{"na', 'me": "Ada", "age": 36}'),
        "for-ever": lambda: [call("fake__echo", text="again")],
        "never-done": lambda: [call("fake__echo", text=str(count))],
        "stalls": lambda: [*text("Wait"), STALL],
        "stalls-at-once": lambda: [STALL],
        "waits": lambda: [*text("one ", "two "), RELEASED, *text("three")],
        "cut": lambda: [*text("Half"), CUT],
        "error-line": lambda: [*text("Half"), "ERROR"],
        "malformed": lambda: [*text("Good"), "MALFORMED", *text(" again.")],
        "last-chunk": lambda: after_tool(asked, {"last": call("fake__echo", text="late")}),
        "stamps": lambda: [STAMP] * 200,
        "long": lambda: text(*(f"word{number} " for number in range(3000))),
    }
    return list(scripts.get(model.partition(":")[0], scripts["words"])())


async def lines(request: web.Request, asked: dict[str, Any]) -> AsyncIterator[Any]:
    for item in script(asked["model"], asked):
        if item is STALL:
            await asyncio.Event().wait()
        elif item is RELEASED:
            await RELEASED.wait()
        elif item is CUT:
            assert request.transport is not None
            request.transport.abort()
            return
        else:
            yield {"content": f"{time.monotonic():.6f} "} if item is STAMP else item
            await asyncio.sleep(float(asked["model"].partition(":")[2] or 0))


def refusal(model: str, asked: dict[str, Any]) -> web.Response | None:
    if model == "no-tools" and asked.get("tools"):
        return web.json_response(
            {"error": "registry.ollama.ai/library/no-tools does not support tools"}, status=400
        )
    if model == "thoughtless" and asked.get("think"):
        return web.json_response({"error": '"thoughtless" does not support thinking'}, status=400)
    if model == "broken":
        return web.json_response({"error": "model runner has unexpectedly stopped"}, status=500)
    if model == "missing":
        return web.json_response({"error": "model 'missing' not found"}, status=404)
    return None


async def ollama(request: web.Request) -> web.StreamResponse:
    asked = await request.json()
    ASKED.append(asked)
    if (refused := refusal(asked["model"], asked)) is not None:
        return refused
    answer = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await answer.prepare(request)
    end: dict[str, Any] = {"role": "assistant", "content": ""}
    async for item in lines(request, asked):
        if item == "ERROR":
            await answer.write(b'{"error":"the runner died"}\n')
            return answer
        if item == "MALFORMED":
            await answer.write(b'{"message": {"content": \n[]\n"x"\n')
            continue
        if "last" in item:
            end |= item["last"]
            continue
        message = {"role": "assistant", "content": "", **item}
        await answer.write(json.dumps({"message": message, "done": False}).encode() + b"\n")
    counts = {"prompt_eval_count": 7, "eval_count": 3}
    last = {"message": end, "done": True, "done_reason": "stop", **counts}
    await answer.write(json.dumps(last).encode() + b"\n")
    return answer


async def openai(request: web.Request) -> web.StreamResponse:
    asked = await request.json()
    ASKED.append(asked)
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    reason = "stop"
    async for item in lines(request, asked):
        delta = {"content": item["content"]} if "content" in item else {}
        for place, wanted in enumerate(item.get("tool_calls", ())):
            reason = "tool_calls"
            function = wanted["function"]
            arguments = json.dumps(function["arguments"])
            named = {"name": function["name"], "arguments": arguments[:5]}
            await event(answer, {"tool_calls": [{"index": place, "id": "c1", "function": named}]})
            delta = {"tool_calls": [{"index": place, "function": {"arguments": arguments[5:]}}]}
        await event(answer, delta)
    await event(answer, {}, reason)
    await answer.write(b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n')
    await answer.write(b"data: [DONE]\n\n")
    return answer


async def event(answer: web.StreamResponse, delta: dict[str, Any], reason: str | None = None) -> None:
    chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
    await answer.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")


async def anthropic(request: web.Request) -> web.StreamResponse:
    """`old` models know a budget of thinking only; a call is taken back with the thought that led to it."""
    asked = await request.json()
    ASKED.append(asked)
    thinking = asked.get("thinking", {}).get("type", "disabled")
    refused = refusal_to_think(asked, thinking)
    if refused:
        error = {"type": "error", "error": {"type": "invalid_request_error", "message": refused}}
        return web.json_response(error, status=400)
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    given = [
        {"role": "tool", "content": block["content"]}
        for message in asked["messages"]
        if isinstance(message["content"], list)
        for block in message["content"]
        if block["type"] == "tool_result"
    ]
    blocks: list[list[dict[str, Any]]] = []
    if thinking != "disabled":
        blocks += [thought("thinking", "I call."), thought("redacted_thinking", "c2VjcmV0")]
    async for item in lines(request, {"model": "echoes", "messages": given}):
        for wanted in item.get("tool_calls", ()):
            blocks.append(tool_use(wanted["function"]))
        if "content" in item:
            blocks.append([{"type": "text", "text": ""}, {"type": "text_delta", "text": item["content"]}])
    rows: list[dict[str, Any]] = [{"type": "message_start", "message": {"usage": {"input_tokens": 7}}}]
    for index, (begun, *deltas) in enumerate(blocks):
        rows.append({"type": "content_block_start", "index": index, "content_block": begun})
        rows += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        rows.append({"type": "content_block_stop", "index": index})
    reason = "end_turn" if given else "tool_use"
    rows.append({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 3}})
    rows.append({"type": "message_stop"})
    for row in rows:
        await answer.write(b"data: " + json.dumps(row).encode() + b"\n\n")
    return answer


def refusal_to_think(asked: dict[str, Any], thinking: str) -> str:
    if asked["model"] == "old" and thinking == "adaptive":
        return "adaptive thinking is not supported on this model"
    if asked["model"] == "thoughtless" and thinking != "disabled":
        return "This model does not support thinking"
    last = asked["messages"][-2:]
    blocks = last[0]["content"] if len(last) == 2 and isinstance(last[0]["content"], list) else []
    kinds = [block["type"] for block in blocks]
    if thinking == "enabled" and "tool_use" in kinds and kinds[0] != "thinking":
        return f"messages.1.content.0.type: Expected `thinking`, but found `{kinds[0]}`"
    if any(block.get("signature", "signed") != "signed" for block in blocks):
        return "messages.1.content.0: Invalid `signature` in `thinking` block"
    return ""


def thought(kind: str, text: str) -> list[dict[str, Any]]:
    if kind == "redacted_thinking":
        return [{"type": kind, "data": text}]
    deltas = [
        {"type": "thinking_delta", "thinking": text},
        {"type": "signature_delta", "signature": "signed"},
    ]
    return [{"type": kind, "thinking": "", "signature": ""}, *deltas]


def tool_use(function: dict[str, Any]) -> list[dict[str, Any]]:
    text = json.dumps(function["arguments"])
    begun = {"type": "tool_use", "id": "c1", "name": function["name"], "input": {}}
    return [begun, {"type": "input_json_delta", "partial_json": text}]


async def tags(request: web.Request) -> web.StreamResponse:
    return web.json_response({"models": [{"name": "words", "model": "words"}]})


async def show(request: web.Request) -> web.StreamResponse:
    """`tiny` models take 1000 tokens."""
    model = (await request.json())["model"]
    length = 1000 if model.startswith("tiny") else 131_072
    return web.json_response({"model_info": {"general.architecture": "fake", "fake.context_length": length}})


async def asked(request: web.Request) -> web.StreamResponse:
    return web.json_response(ASKED)


async def release(request: web.Request) -> web.StreamResponse:
    """Lets what `waits` go on; whoever asks later waits again."""
    RELEASED.set()
    RELEASED.clear()
    return web.json_response({})


def make_app() -> web.Application:
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/api/chat", ollama)
    app.router.add_get("/api/tags", tags)
    app.router.add_post("/api/show", show)
    app.router.add_post("/v1/chat/completions", openai)
    app.router.add_post("/v1/messages", anthropic)
    app.router.add_get("/asked", asked)
    app.router.add_post("/release", release)
    return app


async def main() -> None:
    runner = web.AppRunner(make_app(), access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())

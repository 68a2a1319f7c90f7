"""An LLM provider that speaks as Ollama, OpenAI and Anthropic do; `X-Fake-…` headers make it misbehave.

Run as a program it prints its port, and every event (`opened`, `left`, `finished`) as a line on stdout.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator

from aiohttp import web

WORDS = ("Hello", " from", " the", " fake", ".")


def say(event: str) -> None:
    print(event, flush=True)


def switch(request: web.Request, name: str, default: str = "") -> str:
    return request.headers.get(f"X-Fake-{name}", default)


async def paced(request: web.Request, pieces: list[bytes]) -> AsyncIterator[bytes]:
    """`Pace`: seconds between pieces; `Break`: cut before that piece; `Stall`: fall silent before it."""
    for number, piece in enumerate(pieces):
        if switch(request, "Break") == str(number):
            assert request.transport is not None
            request.transport.abort()
            return
        if switch(request, "Stall") == str(number):
            await asyncio.Event().wait()
        yield piece
        await asyncio.sleep(float(switch(request, "Pace", "0")))


async def stream(request: web.Request, content_type: str, pieces: list[bytes]) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": content_type})
    say("opened")
    try:
        await answer.prepare(request)
        async for piece in paced(request, pieces):
            await answer.write(piece)
        await answer.write_eof()
    except (ConnectionError, asyncio.CancelledError):
        say("left")
        raise
    say("finished")
    return answer


def ndjson(*rows: object) -> list[bytes]:
    return [json.dumps(row).encode() + b"\n" for row in rows]


def sse(*rows: object) -> list[bytes]:
    return [b"data: " + json.dumps(row).encode() + b"\n\n" for row in rows]


async def ollama_chat(request: web.Request) -> web.StreamResponse:
    asked = await request.json()
    if asked["model"] == "missing":
        return web.json_response({"error": "model 'missing' not found"}, status=404)
    rows: list[object] = [
        {"model": asked["model"], "message": {"role": "assistant", "content": word}, "done": False}
        for word in WORDS
    ]
    rows.append({"model": asked["model"], "message": {"role": "assistant", "content": ""}, "done": True})
    if asked["model"] == "crashes":
        rows[2:] = [{"error": "llama runner process has terminated"}]
    if not asked.get("stream", True):
        whole = {"role": "assistant", "content": "".join(WORDS)}
        return web.json_response({"model": asked["model"], "message": whole, "done": True})
    return await stream(request, "application/x-ndjson", ndjson(*rows))


async def ollama_generate(request: web.Request) -> web.StreamResponse:
    asked = await request.json()
    rows = [{"model": asked["model"], "response": word, "done": word == WORDS[-1]} for word in WORDS]
    if not asked.get("stream", True):
        return web.json_response({"model": asked["model"], "response": "".join(WORDS), "done": True})
    return await stream(request, "application/x-ndjson", ndjson(*rows))


async def ollama_tags(request: web.Request) -> web.StreamResponse:
    return web.json_response({"models": [{"model": "fake:latest", "name": "fake:latest", "size": 1}]})


async def ollama_pull(request: web.Request) -> web.StreamResponse:
    rows = [{"status": "downloading", "total": 3, "completed": number} for number in range(4)]
    return await stream(request, "application/x-ndjson", ndjson(*rows, {"status": "success"}))


async def ollama_delete(request: web.Request) -> web.StreamResponse:
    asked = await request.json()
    return web.Response(status=200 if asked["model"] == "fake" else 404)


async def ollama_blob(request: web.Request) -> web.StreamResponse:
    if request.method == "POST":
        return await upload(request)
    return web.Response(status=200 if request.match_info["digest"] == "sha256:known" else 404)


async def openai_models(request: web.Request) -> web.StreamResponse:
    return web.json_response(
        {"object": "list", "data": [{"id": "fake", "object": "model", "created": 1, "owned_by": "us"}]}
    )


async def openai_chat(request: web.Request) -> web.StreamResponse:
    asked = await request.json()
    common = {"id": "chatcmpl-1", "created": 1, "model": asked["model"]}
    if not asked.get("stream"):
        message = {"role": "assistant", "content": "".join(WORDS)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({**common, "object": "chat.completion", "choices": [choice]})
    rows = [
        {
            **common,
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}],
        }
        for word in WORDS
    ]
    return await stream(request, "text/event-stream", [*sse(*rows), b"data: [DONE]\n\n"])


async def anthropic_messages(request: web.Request) -> web.StreamResponse:
    if "anthropic-version" not in request.headers:
        return web.json_response({"type": "error", "error": {"type": "invalid_request_error"}}, status=400)
    text = {"type": "text", "text": "".join(WORDS)}
    usage = {"input_tokens": 1, "output_tokens": 5}
    return web.json_response(
        {"id": "msg_1", "type": "message", "role": "assistant", "model": "fake", "content": [text],
         "stop_reason": "end_turn", "stop_sequence": None, "usage": usage}
    )  # fmt: skip


async def echo(request: web.Request) -> web.StreamResponse:
    """What it received, to the letter."""
    body = await request.read()
    received = {
        "method": request.method,
        "target": request.raw_path,
        "headers": list(request.headers.items()),
        "body": body.decode("latin-1"),
    }
    peer = request.transport.get_extra_info("peername") if request.transport else None
    answer = web.json_response({**received, "peer": peer}, status=int(switch(request, "Status", "200")))
    answer.headers["Set-Cookie"] = "a=b"
    answer.headers["Access-Control-Allow-Origin"] = "https://provider.example"
    answer.headers["Access-Control-Allow-Credentials"] = "true"
    answer.headers["X-Provider"] = "yes"
    if huge := int(switch(request, "Huge", "0")):
        answer.headers["X-Huge"] = "x" * huge
    return answer


async def upload(request: web.Request) -> web.StreamResponse:
    """Counts a body; `Slow` seconds before reading."""
    say("opened")
    await asyncio.sleep(float(switch(request, "Slow", "0")))
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
    return web.json_response({"size": size})


async def flood(request: web.Request) -> web.StreamResponse:
    """`?megabytes=N` of zeros, as fast as they are read; says how much was taken."""
    answer = web.StreamResponse()
    await answer.prepare(request)
    for number in range(int(request.query["megabytes"])):
        await answer.write(bytes(1 << 20))
        say(f"wrote {number + 1}")
    return answer


async def gzipped(request: web.Request) -> web.StreamResponse:
    answer = web.json_response({"text": "x" * 1000})
    answer.enable_compression(web.ContentCoding.gzip)
    return answer


def create_app() -> web.Application:
    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/api/chat", ollama_chat)
    app.router.add_post("/api/generate", ollama_generate)
    app.router.add_get("/api/tags", ollama_tags)
    app.router.add_post("/api/pull", ollama_pull)
    app.router.add_delete("/api/delete", ollama_delete)
    app.router.add_route("*", "/api/blobs/{digest}", ollama_blob)
    app.router.add_get("/v1/models", openai_models)
    app.router.add_post("/v1/chat/completions", openai_chat)
    app.router.add_post("/v1/messages", anthropic_messages)
    app.router.add_route("*", "/upload", upload)
    app.router.add_get("/flood", flood)
    app.router.add_get("/gzip", gzipped)
    app.router.add_route("*", "/{path:.*}", echo)
    return app


async def serve(host: str, port: int) -> None:
    runner = web.AppRunner(create_app(), handler_cancellation=True, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    say(f"port {runner.addresses[0][1]}")
    await asyncio.Event().wait()


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:  # as `ollama serve`
        host, _, port = os.environ["OLLAMA_HOST"].rpartition(":")
        asyncio.run(serve(host, int(port)))
    else:
        asyncio.run(serve("127.0.0.1", 0))

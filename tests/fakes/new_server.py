"""An MCP server of 2026-07-28 alone, without the SDK: over stdio, or with --http on a port that it prints.

It refuses `initialize`, and every request without its envelope. Its tools are functions below.
"""

import asyncio
import base64
import json
import re
import sys

PREFIX = "io.modelcontextprotocol/"
VERSION = "2026-07-28"
INFO = {"name": "new", "version": "1"}
CAPABILITIES = {
    "tools": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
    "logging": {},
}
LISTENING = {}
CANCELLED = []
CALLS = []
DESCRIPTIONS = {}
URI = "memory://1"


class Refusal(Exception):
    def __init__(self, code, message, data=None):
        super().__init__(message)
        self.error = {"code": code, "message": message, **({} if data is None else {"data": data})}


class Call:
    """One request; `notify` reaches its sender until it is answered."""

    def __init__(self, message, notify):
        self.id = message["id"]
        self.params = message.get("params") or {}
        self.arguments = self.params.get("arguments") or {}
        self.meta = self.params.get("_meta") or {}
        self.capabilities = self.meta.get(f"{PREFIX}clientCapabilities", {})
        self.responses = self.params.get("inputResponses") or {}
        self.state = self.params.get("requestState")
        self.ended = asyncio.Event()
        self._notify = notify

    async def notify(self, method, **params):
        await self._notify({"jsonrpc": "2.0", "method": method, "params": params})


def text(value):
    return {"content": [{"type": "text", "text": value if isinstance(value, str) else json.dumps(value)}]}


def asked(state=None, **requests):
    more = {} if state is None else {"requestState": state}
    return {"resultType": "input_required", **({"inputRequests": requests} if requests else {}), **more}


def elicit(message):
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}}


async def echo(call):
    return text(call.arguments.get("text", ""))


async def received(call):
    return text(call.params)


async def ask_name(call):
    """Twice, when the first answer has no name in it."""
    if "elicitation" not in call.capabilities:
        raise Refusal(-32021, "Elicitation is needed", {"requiredCapabilities": {"elicitation": {}}})
    name = call.responses.get("who", {}).get("content", {}).get("name")
    return text(f"{name}, {call.state}") if name else asked("kept by the client", who=elicit("Who?"))


async def ask_all(call):
    if call.responses.keys() == {"name", "model", "roots"}:
        return text(call.responses)
    message = {"role": "user", "content": {"type": "text", "text": "Say hello"}}
    sample = {"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": 9}}
    return asked(name=elicit("Name?"), model=sample, roots={"method": "roots/list"})


async def visit(call):
    page = {"mode": "url", "url": "http://127.0.0.1/", "message": "Log in"}
    if call.responses:
        return text(call.responses)
    return asked(page={"method": "elicitation/create", "params": page})


async def hang_up(call):
    """Ends every subscription, as a server does that is about to go."""
    for listening, _ in list(LISTENING.values()):
        listening.ended.set()
    return text("hung up")


async def wait_for_state(call):
    return text("ready") if call.state == "third" else asked("third" if call.state == "second" else "second")


async def slow(call):
    token = call.meta.get("progressToken")
    if token is not None:
        await call.notify("notifications/progress", progressToken=token, progress=1)
    try:
        await asyncio.sleep(call.arguments.get("seconds", 30))
    except asyncio.CancelledError:
        CANCELLED.append(call.arguments.get("tag"))
        raise
    return text("slow")


async def what_was_cancelled(call):
    return text(CANCELLED)


async def methods(call):
    return text(CALLS)


async def log(call):
    if f"{PREFIX}logLevel" in call.meta:
        await call.notify("notifications/message", level=call.meta[f"{PREFIX}logLevel"], data="logged")
    return text("done")


async def change_tools(call):
    DESCRIPTIONS.update(call.arguments)
    await tell("toolsListChanged", "notifications/tools/list_changed")
    return text("changed")


async def update_resource(call):
    await tell("resourceSubscriptions", "notifications/resources/updated", uri=URI)
    return text("updated")


async def region(call):
    return text(call.arguments.get("region", "none"))


TOOLS = {
    tool.__name__: tool
    for tool in (
        echo, received, ask_name, ask_all, visit, hang_up, wait_for_state, slow, what_was_cancelled, methods,
        log, change_tools, update_resource, region,
    )
}  # fmt: skip
REGION = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}


async def tell(kind, method, **params):
    for identifier, (call, wanted) in list(LISTENING.items()):
        if wanted.get(kind) and (kind != "resourceSubscriptions" or params["uri"] in wanted[kind]):
            await call.notify(method, **params, _meta={f"{PREFIX}subscriptionId": identifier})


async def listen(call):
    wanted = call.params["notifications"]
    LISTENING[call.id] = call, wanted
    try:
        meta = {f"{PREFIX}subscriptionId": call.id}
        await call.notify("notifications/subscriptions/acknowledged", notifications=wanted, _meta=meta)
        await call.ended.wait()
        return {}
    finally:
        LISTENING.pop(call.id, None)


async def discover(call):
    return {"supportedVersions": [VERSION], "capabilities": CAPABILITIES, "instructions": "Be new."}


async def list_tools(call):
    plain = {"type": "object", "properties": {}}
    tools = [{"name": name, "inputSchema": REGION if name == "region" else plain} for name in TOOLS]
    return {"tools": [{**tool, "description": DESCRIPTIONS.get(tool["name"], "")} for tool in tools]}


async def call_tool(call):
    if call.params.get("name") not in TOOLS:
        raise Refusal(-32602, f"Unknown tool: {call.params.get('name')}")
    return await TOOLS[call.params["name"]](call)


async def list_resources(call):
    return {"resources": [{"uri": URI, "name": "one"}]}


async def list_templates(call):
    return {"resourceTemplates": []}


async def read_resource(call):
    if call.params["uri"] != URI:
        raise Refusal(-32602, "Resource not found", {"uri": call.params["uri"]})
    return {"contents": [{"uri": URI, "text": "one"}]}


METHODS = {
    "server/discover": discover,
    "subscriptions/listen": listen,
    "tools/list": list_tools,
    "tools/call": call_tool,
    "resources/list": list_resources,
    "resources/templates/list": list_templates,
    "resources/read": read_resource,
}


async def answer(message, notify):
    """The whole answer to one request."""
    CALLS.append(message["method"])
    call = Call(message, notify)
    base = {"jsonrpc": "2.0", "id": message["id"]}
    try:
        check(message["method"], call)
        result = await METHODS[message["method"]](call)
    except Refusal as refusal:
        return {**base, "error": refusal.error}
    whole = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", **result}
    return {**base, "result": {**whole, "_meta": {f"{PREFIX}serverInfo": INFO}}}


def check(method, call):
    if call.meta.get(f"{PREFIX}protocolVersion") != VERSION:
        raise Refusal(-32022, "Only the new era is spoken here", {"supported": [VERSION]})
    if f"{PREFIX}clientCapabilities" not in call.meta:
        raise Refusal(-32602, "The envelope lacks the client's capabilities")
    if method not in METHODS:
        raise Refusal(-32601, f"Method not found: {method}")


async def serve_stdio():
    running = {}
    reader = asyncio.StreamReader(limit=2**24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def say(message):
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    async def run(message):
        await say(await answer(message, say))

    while line := await reader.readline():
        message = json.loads(line)
        if message.get("method") == "notifications/cancelled":
            running[message["params"]["requestId"]].cancel()
        elif "id" in message:
            running[message["id"]] = asyncio.create_task(run(message))
        else:
            sys.exit(f"In this era nobody sends {message}")


async def serve_http():
    from aiohttp import web

    async def post(request):
        message = json.loads(await request.text())
        if "id" not in message or request.headers.get("Mcp-Session-Id"):
            return web.Response(status=400, text="In this era nobody sends that")
        wrong = mismatch(request.headers, message)
        if wrong is not None:
            CALLS.append(message["method"])
            error = {"code": -32020, "message": wrong}
            return web.json_response({"jsonrpc": "2.0", "id": None, "error": error}, status=400)
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})

        async def say(said):
            if not stream.prepared:
                await stream.prepare(request)
            await stream.write(b"event: message\ndata: " + json.dumps(said).encode() + b"\n\n")

        whole = await answer(message, say)
        if stream.prepared:
            await say(whole)
            return stream
        return web.json_response(whole, status=400 if "error" in whole else 200)

    app = web.Application()
    app.router.add_post("/mcp", post)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


def plain(value):
    encoded = re.fullmatch(r"=\?base64\?(.*)\?=", value or "")
    return base64.b64decode(encoded[1]).decode() if encoded else value


def mismatch(headers, message):
    params = message.get("params") or {}
    if headers.get("MCP-Protocol-Version") != (params.get("_meta") or {}).get(f"{PREFIX}protocolVersion"):
        return "MCP-Protocol-Version"
    if headers.get("Mcp-Method") != message["method"]:
        return "Mcp-Method"
    if message["method"] == "tools/call":
        if headers.get("Mcp-Name") != params.get("name"):
            return "Mcp-Name"
        wanted = (params.get("arguments") or {}).get("region") if params["name"] == "region" else None
        if plain(headers.get("Mcp-Param-Region")) != wanted:
            return "Mcp-Param-Region"
    return None


if __name__ == "__main__":
    asyncio.run(serve_http() if "--http" in sys.argv else serve_stdio())

"""A remote MCP server that misbehaves on request: streamable HTTP at /mcp, the old transport at /sse.

Prints its port. Its tools are the methods `tool_…`; POST /do {"name": …} does one of `do_…`; GET /heard tells
what was asked. Flags: --port=N, --no-stream refuses GET, --slow-stream answers it after a long while,
--wrong-404 refuses GET with 404, --forget-with-400 says 400 to unknown sessions, --forgetful=METHOD
knows none at that method, --elsewhere names an endpoint of another origin, --token=T wants a bearer token,
--mute never answers `initialize`.
"""

import asyncio
import contextlib
import itertools
import json
import secrets
import sys

from aiohttp import web

FLAGS = dict(flag.lstrip("-").partition("=")[::2] for flag in sys.argv[1:])
TOOLS = {"tools": {"listChanged": True}, "resources": {"subscribe": True, "listChanged": True}, "logging": {}}


class Cut(Exception):
    """The connection ends here, in the middle."""


class Session:
    """`stream` is the open GET; `events` are what was sent with an id, for whoever comes back."""

    def __init__(self):
        self.id = secrets.token_hex(8)
        self.opening = None
        self.stream = None
        self.level = None
        self.uris = []
        self.events = {}
        self.waiting = {}
        self.later = {}

    async def unasked(self, message):
        if self.stream is not None:
            await send(self.stream, message)

    async def ask(self, say, method, params=None):
        identifier = f"ask-{secrets.token_hex(4)}"
        self.waiting[identifier] = asyncio.get_running_loop().create_future()
        await say({"id": identifier, "method": method, "params": params or {}})
        return await asyncio.wait_for(self.waiting[identifier], 30)


class Server:
    def __init__(self):
        self.sessions = {}
        self.heard = []
        self.numbers = itertools.count(1)
        self.posts = {}
        self.refusal = None

    # What a test may order

    async def do_forget(self):
        self.sessions.clear()

    async def do_refuse(self, status=None, retry_after=None):
        """Everything, from now on; without a status nothing any more."""
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        self.refusal = status and (status, headers)

    async def do_cut(self):
        for session in self.sessions.values():
            if session.stream is not None:
                abort(session.stream)

    async def do_end_streams(self):
        for session in self.sessions.values():
            if session.stream is not None:
                session.stream.ended.set()

    async def do_say(self, message, event_id=None, retry=None):
        for session in self.sessions.values():
            if event_id is not None:
                session.events[event_id] = message
            await send(session.stream, message, event_id, retry)

    async def do_miss(self, message, event_id):
        """What happens while nobody listens."""
        for session in self.sessions.values():
            session.events[event_id] = message

    # Tools: (session, message, say) → result; None never answers

    async def tool_echo(self, session, message, say):
        return text(message["params"]["arguments"].get("text", ""))

    async def tool_session(self, session, message, say):
        return text(json.dumps({"id": session.id, "level": session.level, "uris": session.uris}))

    async def tool_progress(self, session, message, say):
        arguments = message["params"]["arguments"]
        token = message["params"].get("_meta", {}).get("progressToken")
        for step in range(arguments.get("steps", 3)):
            await say(notification("progress", {"progressToken": token, "progress": step}))
            await asyncio.sleep(arguments.get("pause", 0))
        return text("done")

    async def tool_log(self, session, message, say):
        await say(notification("message", {"level": "info", "data": message["params"]["arguments"]}))
        return text("logged")

    async def tool_big(self, session, message, say):
        """Not in one stream with anything else, and as an event all the same."""
        await say({"id": message["id"], "result": text("x" * 4_000_000)})

    async def tool_log_unasked(self, session, message, say):
        await session.unasked(notification("message", {"level": "info", "data": "unasked"}))
        return text("logged")

    async def tool_ask(self, session, message, say):
        arguments = message["params"]["arguments"]
        how = session.unasked if arguments.get("unasked") else say
        return text(json.dumps(await session.ask(how, arguments["method"], {"tag": arguments.get("tag")})))

    async def tool_change(self, session, message, say):
        await session.unasked(notification("tools/list_changed"))
        return text("changed")

    async def tool_update(self, session, message, say):
        await session.unasked(notification("resources/updated", {"uri": "memory://1"}))
        return text("updated")

    async def tool_forget(self, session, message, say):
        self.sessions.pop(session.id)
        return text("forgotten")

    async def tool_cut(self, session, message, say):
        await say(notification("message", {"level": "info", "data": "before the cut"}))
        raise Cut

    async def tool_come_back(self, session, message, say):
        """The answer is there for whoever comes back with the id."""
        arguments = message["params"]["arguments"]
        event_id = f"place-{next(self.numbers)}"
        session.later[event_id] = {"id": message["id"], "result": text("in the end")}
        await say(None, event_id, arguments.get("retry"))
        if arguments.get("forget"):
            self.sessions.pop(session.id)
        if not arguments.get("cleanly"):
            raise Cut

    async def tool_silence(self, session, message, say):
        await asyncio.sleep(60)

    async def tool_late(self, session, message, say):
        """The answer to a call that has been given up comes with the next call."""
        if "late" not in session.later:
            session.later["late"] = {"id": message["id"], "result": text("too late")}
            await asyncio.sleep(60)
        await say(session.later["late"])
        return text("in time")

    async def tool_rubbish(self, session, message, say):
        await say("this is not JSON")
        return text("after rubbish")

    async def tool_cancelled(self, session, message, say):
        heard = [each["message"] for each in self.heard if each["message"]]
        return text(json.dumps([each for each in heard if each.get("method") == "notifications/cancelled"]))

    async def answer(self, session, message, say):
        method, params = message["method"], message.get("params") or {}
        if method == "initialize":
            session.opening = params
            info = {"name": "remote", "version": "1"}
            return {"protocolVersion": params["protocolVersion"], "capabilities": TOOLS, "serverInfo": info}
        if method == "tools/call":
            return await getattr(self, "tool_" + params["name"])(session, message, say)
        if method == "tools/list":
            names = [name.removeprefix("tool_") for name in dir(self) if name.startswith("tool_")]
            return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in names]}
        if method == "logging/setLevel":
            session.level = params["level"]
        elif method == "resources/subscribe":
            session.uris.append(params["uri"])
        elif method == "resources/unsubscribe":
            session.uris.remove(params["uri"])
        elif method == "resources/list":
            return {"resources": [{"name": "one", "uri": "memory://1"}]}
        elif method == "resources/templates/list":
            return {"resourceTemplates": []}
        return {}

    # Streamable HTTP

    async def post(self, request):
        message = await self.take(request)
        if message.get("method") == "initialize":
            if "mute" in FLAGS:
                await asyncio.sleep(60)
            session = Session()
            self.sessions[session.id] = session
        else:
            session = self.sessions.get(request.headers.get("Mcp-Session-Id"))
            if session is None or ("forgetful" in FLAGS and message.get("method") == FLAGS["forgetful"]):
                return unknown()
        if "id" not in message or "method" not in message:
            self.hear_answer(session, message)
            return web.Response(status=202)
        response = Stream(request, {"Mcp-Session-Id": session.id})
        try:
            result = await self.answer(session, message, response.say)
        except Cut:
            abort(response)
            return response
        said = {"jsonrpc": "2.0", "id": message["id"], "result": result}
        if response.prepared or message.get("params", {}).get("name") == "come_back":
            if result is not None:
                await send(response, said)
            await response.write_eof()
            return response
        return web.json_response(said, headers={"Mcp-Session-Id": session.id})

    async def get(self, request):
        await self.take(request)
        if "no-stream" in FLAGS:
            return web.Response(status=405)
        if "wrong-404" in FLAGS:
            return web.Response(status=404)
        if "slow-stream" in FLAGS:
            await asyncio.sleep(60)
        session = self.sessions.get(request.headers.get("Mcp-Session-Id"))
        if session is None:
            return unknown()
        last = request.headers.get("Last-Event-ID")
        response = Stream(request, {"Mcp-Session-Id": session.id})
        await response.begin()
        if last in session.later:
            await send(response, session.later.pop(last), f"{last}-answered")
            return response
        known = list(session.events)
        for event_id in known[known.index(last) + 1 :] if last in known else []:
            await send(response, session.events[event_id], event_id)
        session.stream = response
        await response.ended.wait()
        return response

    async def delete(self, request):
        await self.take(request)
        self.sessions.pop(request.headers.get("Mcp-Session-Id"), None)
        return web.Response(status=204)

    # The transport of 2024-11-05

    async def old_get(self, request):
        await self.take(request)
        session = Session()
        self.sessions[session.id] = session
        response = session.stream = Stream(request)
        await response.begin()
        origin = "http://127.0.0.1:9" if "elsewhere" in FLAGS else ""
        await response.write(
            f"event: endpoint\r\ndata: {origin}/messages?session={session.id}\r\n\r\n".encode()
        )
        await response.ended.wait()
        return response

    async def old_post(self, request):
        message = await self.take(request)
        session = self.sessions.get(request.query["session"])
        if session is None:
            return unknown()
        if "id" in message and "method" in message:
            work = asyncio.create_task(self.old_answer(session, message))
            self.posts[work] = work.add_done_callback(self.posts.pop)
        else:
            self.hear_answer(session, message)
        return web.Response(status=202, text="Accepted")

    async def old_answer(self, session, message):
        try:
            result = await self.answer(session, message, session.unasked)
        except Cut:
            abort(session.stream)
            return
        if result is not None:
            with contextlib.suppress(ConnectionError):
                await session.unasked({"id": message["id"], "result": result})

    def hear_answer(self, session, message):
        waiting = session.waiting.pop(message.get("id"), None)
        if waiting is not None:
            waiting.set_result({name: message[name] for name in ("result", "error") if name in message})

    async def take(self, request):
        text = await request.text()
        message = json.loads(text) if text else None
        port = request.transport.get_extra_info("peername")[1]
        heard = {"method": request.method, "headers": dict(request.headers), "message": message, "port": port}
        self.heard.append(heard)
        if self.refusal is not None:
            status, headers = self.refusal
            kind = web.HTTPServiceUnavailable if status == 503 else web.HTTPTooManyRequests
            raise kind(headers=headers)
        if "token" in FLAGS and request.headers.get("Authorization") != f"Bearer {FLAGS['token']}":
            raise web.HTTPUnauthorized
        return message

    async def do(self, request):
        order = await request.json()
        await getattr(self, "do_" + order.pop("name"))(**order)
        return web.Response()

    async def tell(self, request):
        return web.json_response(self.heard)


class Stream(web.StreamResponse):
    def __init__(self, request, headers=None):
        super().__init__(headers={"Content-Type": "text/event-stream", **(headers or {})})
        self.request = request
        self.ended = asyncio.Event()

    async def begin(self):
        if not self.prepared:
            await self.prepare(self.request)
            await self.write(b": hello\n\n")

    async def say(self, message, event_id=None, retry=None):
        await self.begin()
        await send(self, message, event_id, retry)


async def send(stream, message, event_id=None, retry=None):
    """No message: an event without data, for its id alone."""
    lines = [] if event_id is None else [f"id: {event_id}"]
    lines += [] if retry is None else [f"retry: {retry}"]
    body = message if isinstance(message, str) else json.dumps({"jsonrpc": "2.0", **(message or {})})
    lines.append(f"data: {'' if message is None else body}")
    await stream.write(("\n".join(lines) + "\n\n").encode())


def abort(stream):
    if stream.request.transport is not None:
        stream.request.transport.abort()
    stream.ended.set()


def notification(method, params=None):
    return {"method": f"notifications/{method}", **({} if params is None else {"params": params})}


def text(value):
    return {"content": [{"type": "text", "text": value}]}


def unknown():
    if "forget-with-400" in FLAGS:
        error = {"code": -32000, "message": "Bad Request: No valid session ID provided"}
        return web.json_response({"jsonrpc": "2.0", "error": error, "id": None}, status=400)
    return web.Response(status=404)


async def main():
    server = Server()
    app = web.Application()
    app.router.add_post("/mcp", server.post)
    app.router.add_get("/mcp", server.get)
    app.router.add_delete("/mcp", server.delete)
    app.router.add_get("/sse", server.old_get)
    app.router.add_post("/messages", server.old_post)
    app.router.add_post("/do", server.do)
    app.router.add_get("/heard", server.tell)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", int(FLAGS.get("port", 0)), reuse_address=True)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())

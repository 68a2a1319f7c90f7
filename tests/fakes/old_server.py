"""An MCP server over stdio, without the SDK, that begins with `initialize` and asks its client in the middle.

Its tools are functions below. It refuses envelopes of 2026-07-28, as the Python SDK does within a session.
With --ask-roots it asks for the client's roots as soon as it is initialized.
"""

import itertools
import json
import os
import sys
import threading
import time

FLAGS = sys.argv[1:]
PREFIX = "io.modelcontextprotocol/"
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
LOCK = threading.Lock()
INSTANCE = os.urandom(8).hex()
NUMBERS = itertools.count(1)
WAITING = {}
ANSWERS = {}
SESSION = {"capabilities": {}, "level": "info", "subscriptions": []}


def send(message):
    with LOCK:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def notify(method, **params):
    send({"method": method, "params": params})


def ask(method, **params):
    identifier = f"ask-{next(NUMBERS)}"
    came = WAITING[identifier] = threading.Event()
    send({"id": identifier, "method": method, "params": params})
    came.wait(60)
    return ANSWERS.pop(identifier, None)


def elicit(message):
    return ask("elicitation/create", message=message, requestedSchema={"type": "object", "properties": {}})


def text(value):
    return {"content": [{"type": "text", "text": value if isinstance(value, str) else json.dumps(value)}]}


def echo(arguments, meta):
    return text(arguments.get("text", ""))


def ask_name(arguments, meta):
    return text(elicit("Who?"))


def ask_twice(arguments, meta):
    return text([elicit("First?"), elicit("Second?")])


def sample(arguments, meta):
    return text(ask("sampling/createMessage", messages=[], maxTokens=1))


def roots(arguments, meta):
    return text(ask("roots/list"))


def ask_for_time(arguments, meta):
    return text(ask("clock/read"))


class UrlsRequired(Exception):
    pass


def visit(arguments, meta):
    """Good when the page was visited, which this server takes for granted the second time."""
    if SESSION.setdefault("visits", 0) == 0:
        SESSION["visits"] = 1
        raise UrlsRequired
    return text("visited")


def steps(arguments, meta):
    """Progress, a question, and progress again."""
    for step in (1, 2):
        if "progressToken" in meta:
            notify("notifications/progress", progressToken=meta["progressToken"], progress=step)
        if step == 1:
            elicit("Go on?")
    return text("done")


def log(arguments, meta):
    for level in ("debug", "warning"):
        if LEVELS.index(level) >= LEVELS.index(SESSION["level"]):
            notify("notifications/message", level=level, data=level)
    return text("logged")


def slow(arguments, meta):
    if "progressToken" in meta:
        notify("notifications/progress", progressToken=meta["progressToken"], progress=1)
    time.sleep(arguments.get("seconds", 1))
    return text("slow")


def about(arguments, meta):
    return text({**SESSION, "instance": INSTANCE, "meta": meta})


def update_resource(arguments, meta):
    for uri in SESSION["subscriptions"]:
        notify("notifications/resources/updated", uri=uri)
    return text("updated")


def crash(arguments, meta):
    os._exit(3)


TOOLS = (
    echo, ask_name, ask_twice, sample, roots, ask_for_time, visit, steps, log, slow, about, update_resource,
    crash,
)  # fmt: skip
INFO = {"name": "old", "version": "1"}
CAPABILITIES = {"tools": {}, "logging": {}, "resources": {"subscribe": True}, "prompts": {}}
REGION = {"type": "object", "properties": {"text": {"type": "string", "x-mcp-header": "Text"}}}


def initialize(params):
    SESSION["capabilities"] = params["capabilities"]
    SESSION["client"] = params["clientInfo"]["name"]
    return {"protocolVersion": params["protocolVersion"], "capabilities": CAPABILITIES, "serverInfo": INFO}


def list_tools(params):
    plain = {"type": "object", "properties": {}}
    return {"tools": [{"name": t.__name__, "inputSchema": REGION if t is echo else plain} for t in TOOLS]}


def call_tool(params):
    tool = next(tool for tool in TOOLS if tool.__name__ == params["name"])
    return tool(params.get("arguments") or {}, params.get("_meta") or {})


def set_level(params):
    SESSION["level"] = params["level"]
    return {}


def say(text):
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def subscribe(params):
    say(f"subscribed {params['uri']}")
    SESSION["subscriptions"].append(params["uri"])
    return {}


def unsubscribe(params):
    say(f"unsubscribed {params['uri']}")
    SESSION["subscriptions"].remove(params["uri"])
    return {}


def read(params):
    return {"contents": [{"uri": params["uri"], "text": json.dumps(elicit("Which part?"))}]}


def prompt(params):
    answer = json.dumps(elicit("About what?"))
    return {"messages": [{"role": "user", "content": {"type": "text", "text": answer}}]}


METHODS = {
    "initialize": initialize,
    "ping": lambda params: {},
    "tools/list": list_tools,
    "tools/call": call_tool,
    "logging/setLevel": set_level,
    "resources/list": lambda params: {"resources": [{"uri": "memory://1", "name": "one"}]},
    "resources/templates/list": lambda params: {"resourceTemplates": []},
    "resources/subscribe": subscribe,
    "resources/unsubscribe": unsubscribe,
    "resources/read": read,
    "prompts/list": lambda params: {"prompts": [{"name": "about"}]},
    "prompts/get": prompt,
}


def answer(message):
    params = message.get("params") or {}
    if any(name.startswith(PREFIX) for name in params.get("_meta") or {}):
        error = {"code": -32600, "message": "Envelopes are not accepted in a session"}
    elif message["method"] in METHODS:
        try:
            return send({"id": message["id"], "result": METHODS[message["method"]](params)})
        except UrlsRequired:
            page = {"mode": "url", "url": "http://127.0.0.1/", "message": "Log in", "elicitationId": "e"}
            error = {"code": -32042, "message": "Visit it first", "data": {"elicitations": [page]}}
    else:
        error = {"code": -32601, "message": "Method not found"}
    return send({"id": message["id"], "error": error})


def receive(message):
    if "method" not in message:
        ANSWERS[message["id"]] = message.get("result", message.get("error"))
        WAITING.pop(message["id"]).set()
    elif "id" in message:
        threading.Thread(target=answer, args=(message,), daemon=True).start()
    else:
        say(f"heard {message['method']}")
        if message["method"] == "notifications/initialized" and asks_for_roots():
            threading.Thread(target=ask, args=("roots/list",), daemon=True).start()


def asks_for_roots():
    return "--ask-roots" in FLAGS and "roots" in SESSION["capabilities"]


if __name__ == "__main__":
    for line in sys.stdin:
        receive(json.loads(line))

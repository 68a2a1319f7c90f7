"""A small MCP server over stdio, without the SDK, that misbehaves on request.

Its tools are functions below. Flags: --mute never answers, --crash ends at once, --refuse rejects
`initialize`, --die-after-initialize ends when it was initialized, --greet prints rubbish first, --stubborn
ignores EOF and SIGTERM, --starts=FILE adds a line at each start, --hold=FILE reads nothing before there is
one, --grandchild=FILE starts a stubborn process and writes its pid.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time

FLAGS = dict(flag.lstrip("-").partition("=")[::2] for flag in sys.argv[1:])
LOCK = threading.Lock()
CANCELLED = {}
WAITING = {}
ANSWERS = {}
HEARD = []
LATE = []
INSTANCE = os.urandom(8).hex()
NUMBERS = itertools.count(1)


def say(text):
    with LOCK:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def send(message):
    say(json.dumps({"jsonrpc": "2.0", **message}))


def notify(method, params=None):
    send({"method": method, **({} if params is None else {"params": params})})


def ask(method, params=None):
    identifier = f"ask-{next(NUMBERS)}"
    WAITING[identifier] = threading.Event()
    send({"id": identifier, "method": method, **({} if params is None else {"params": params})})
    WAITING[identifier].wait(30)
    return ANSWERS.pop(identifier, None)


def text(value):
    return {"content": [{"type": "text", "text": value}]}


def echo(arguments, message):
    return text(arguments.get("text", ""))


def arguments(arguments, message):
    return {**text("see _arguments"), "_arguments": arguments, "_unknown": {"kept": [1, 1.10, None]}}


def received(arguments, message):
    return {**text("see _message"), "_message": message}


def slow(arguments, message):
    CANCELLED[message["id"]] = threading.Event()
    was_cancelled = CANCELLED[message["id"]].wait(arguments.get("seconds", 1))
    return None if was_cancelled else text("slow")


def progress(arguments, message):
    token = message["params"].get("_meta", {}).get("progressToken")
    for step in range(arguments.get("steps", 3)):
        time.sleep(arguments.get("pause", 0))
        notify("notifications/progress", {"progressToken": token, "progress": step, "extra": "kept"})
    return text("done")


def big(arguments, message):
    return text("x" * arguments.get("size", 4_000_000))


def crash(arguments, message):
    sys.stderr.write("something broke badly\n")
    sys.stderr.flush()
    os._exit(arguments.get("code", 3))


def rubbish(arguments, message):
    say("this is not JSON")
    say("[1, 2, 3]")
    say('"text"')
    return text("after rubbish")


def silence(arguments, message):
    return None


def flood_stderr(arguments, message):
    for number in range(arguments.get("lines", 20_000)):
        sys.stderr.write(f"line {number} {'y' * 100}\n")
    sys.stderr.flush()
    return text("flooded")


def say_stderr(arguments, message):
    sys.stderr.write(arguments["text"] + "\n")
    sys.stderr.flush()
    return text("said")


def sample(arguments, message):
    answer = ask("sampling/createMessage", {"messages": [], "maxTokens": 1, "tag": arguments.get("tag")})
    return text(json.dumps(answer))


def ping_client(arguments, message):
    return text(json.dumps(ask("ping")))


def change_tools(arguments, message):
    notify("notifications/tools/list_changed")
    return text("changed")


def update_resource(arguments, message):
    notify("notifications/resources/updated", {"uri": "memory://1"})
    return text("updated")


def log_message(arguments, message):
    notify("notifications/message", {"level": "info", "data": "while it runs"})
    return text("logged")


def environment(arguments, message):
    seen = {"env": dict(os.environ), "cwd": os.getcwd(), "pid": os.getpid(), "argv": sys.argv}
    return text(json.dumps({**seen, "instance": INSTANCE}))


def cancelled(arguments, message):
    return text(json.dumps(HEARD))


def surrogate(arguments, message):
    result = '{"half":"\\ud83d","big":123456789012345678901234567890}'
    say(f'{{"jsonrpc":"2.0","id":{message["id"]},"result":{result}}}')


def spread(arguments, message):
    """The answer stands on one line only for us: another server may print the carriage returns of Windows."""
    say(f'{{"jsonrpc":"2.0" ,  "id": {message["id"]},\r "result":{{ "spaces" : [ 1 ] }}}}\r')


def late(arguments, message):
    """The answer to a call that has been given up comes with the next call."""
    LATE.append(message["id"])
    if len(LATE) == 1:
        return None
    send({"id": LATE[0], "result": text("too late")})
    return text("in time")


def endless_line(arguments, message):
    with LOCK:
        while True:
            sys.stdout.write("z" * 65536)


TOOLS = (
    echo, arguments, received, slow, progress, big, crash, rubbish, silence, flood_stderr, say_stderr, sample,
    ping_client, change_tools, update_resource, log_message, environment, cancelled, surrogate, spread,
    endless_line, late,
)  # fmt: skip


def answer(message):
    method, params = message["method"], message.get("params", {})
    if method == "initialize":
        if "refuse" in FLAGS:
            return send({"id": message["id"], "error": {"code": -32602, "message": "not today"}})
        result = {
            "protocolVersion": params.get("protocolVersion", "2025-11-25"),
            "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": {"name": "fake", "version": "1"},
        }
    elif method == "tools/list":
        names = [tool.__name__ for tool in TOOLS]
        half = len(names) // 2
        page = names[half:] if params.get("cursor") else names[:half]
        more = {"description": FLAGS["described"]} if "described" in FLAGS else {}
        result = {"tools": [{"name": name, "inputSchema": {"type": "object"}, **more} for name in page]}
        if not params.get("cursor"):
            result["nextCursor"] = "second"
    elif method == "tools/call":
        tool = next((tool for tool in TOOLS if tool.__name__ == params.get("name")), None)
        if tool is None:
            return send(
                {
                    "id": message["id"],
                    "error": {"code": -32602, "message": f"Unknown tool {params.get('name')}"},
                }
            )
        result = tool(params.get("arguments", {}), message)
    elif method == "ping":
        result = {}
    else:
        return send({"id": message["id"], "error": {"code": -32601, "message": "Method not found"}})
    if result is not None:
        send({"id": message["id"], "result": result})
    return None


def receive(line):
    message = json.loads(line)
    if "method" not in message:
        ANSWERS[message["id"]] = {key: value for key, value in message.items() if key in ("result", "error")}
        WAITING[message["id"]].set()
    elif "id" in message:
        if "mute" not in FLAGS:
            threading.Thread(target=answer, args=(message,), daemon=True).start()
    else:
        HEARD.append(message)
        if message["method"] == "notifications/cancelled":
            CANCELLED.get(message["params"]["requestId"], threading.Event()).set()
        if message["method"] == "notifications/initialized" and "die-after-initialize" in FLAGS:
            os._exit(4)


def main():
    if "starts" in FLAGS:
        with open(FLAGS["starts"], "a") as file:
            file.write(f"{os.getpid()}\n")
    if "stubborn" in FLAGS:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "grandchild" in FLAGS:
        script = "import signal,time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
        grandchild = subprocess.Popen([sys.executable, "-S", "-c", script])
        with open(FLAGS["grandchild"], "w") as file:
            file.write(str(grandchild.pid))
    if "crash" in FLAGS:
        sys.exit("no configuration found")
    if "greet" in FLAGS:
        say("Welcome to my server!\n\n  {not json")
    while "hold" in FLAGS and not os.path.exists(FLAGS["hold"]):
        time.sleep(0.01)
    for line in sys.stdin:
        receive(line)
    if "stubborn" in FLAGS:
        time.sleep(600)


if __name__ == "__main__":
    main()

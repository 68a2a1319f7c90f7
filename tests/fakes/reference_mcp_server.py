"""A complete MCP server over stdio, without the SDK, with every name that the conformance suite calls.

It begins old-era conversations with `initialize`, and answers requests of 2026-07-28, which carry their
envelope in `_meta`, on the same lines.
"""

import hashlib
import hmac
import itertools
import json
import re
import sys
import threading
import time

PREFIX = "io.modelcontextprotocol/"
MODERN = "2026-07-28"
VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
INFO = {"name": "reference", "version": "1.0.0"}
CAPABILITIES = {
    "tools": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
    "prompts": {"listChanged": True},
    "logging": {},
    "completions": {},
}
IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
AUDIO = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
KEY = b"states of this process"
NUMBERS = itertools.count(1)
LOCK = threading.Lock()
WAITING = {}


class Refusal(Exception):
    def __init__(self, code, message, data=None):
        super().__init__(message)
        self.error = {"code": code, "message": message, **({} if data is None else {"data": data})}


def send(message):
    with LOCK:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def notify(method, params=None):
    send({"method": method, **({} if params is None else {"params": params})})


class Call:
    """One request, and what its sender said about itself."""

    def __init__(self, params):
        self.params = params
        self.arguments = params.get("arguments") or {}
        self.meta = params.get("_meta") or {}
        self.is_modern = f"{PREFIX}protocolVersion" in self.meta
        self.capabilities = self.meta.get(f"{PREFIX}clientCapabilities", {})
        self.responses = params.get("inputResponses") or {}
        self.state = params.get("requestState")

    def log(self, text):
        if not self.is_modern or f"{PREFIX}logLevel" in self.meta:
            notify("notifications/message", {"level": "info", "data": text})

    def progress(self, done, total):
        token = self.meta.get("progressToken")
        if token is not None:
            params = {
                "progressToken": token,
                "progress": done,
                "total": total,
                "message": f"{done} of {total}",
            }
            notify("notifications/progress", params)

    def ask(self, method, params):
        """A question to the client, as sessions have it."""
        number = f"question-{next(NUMBERS)}"
        WAITING[number] = answer = {"came": threading.Event()}
        send({"id": number, "method": method, "params": params})
        answer["came"].wait(30)
        del WAITING[number]
        if "result" not in answer:
            raise Refusal(-32603, f"{method} was not answered: {answer.get('error')}")
        return answer["result"]


def text(value):
    return {"content": [{"type": "text", "text": value}]}


def embedded(uri, mime_type, value):
    return {"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "text": value}}


def question(requests, state=None):
    asked = {"resultType": "input_required", "inputRequests": requests}
    return asked if state is None else {**asked, "requestState": signed(state)}


def signed(state):
    body = json.dumps(state)
    return f"{hmac.new(KEY, body.encode(), hashlib.sha256).hexdigest()} {body}"


def opened(text):
    body = str(text).partition(" ")[2]
    if text != f"{hmac.new(KEY, body.encode(), hashlib.sha256).hexdigest()} {body}":
        raise Refusal(-32602, "The requestState was not made here")
    return json.loads(body)


def elicit(message, **properties):
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}}


def sample(prompt, tokens=100):
    messages = [{"role": "user", "content": {"type": "text", "text": prompt}}]
    return {"method": "sampling/createMessage", "params": {"messages": messages, "maxTokens": tokens}}


NAME = {"name": {"type": "string"}}
ROOTS = {"method": "roots/list", "params": {}}


def test_simple_text(call):
    return text("This is a simple text response for testing.")


def test_image_content(call):
    return {"content": [{"type": "image", "data": IMAGE, "mimeType": "image/png"}]}


def test_audio_content(call):
    return {"content": [{"type": "audio", "data": AUDIO, "mimeType": "audio/wav"}]}


def test_embedded_resource(call):
    return {"content": [embedded("test://embedded-resource", "text/plain", "This is an embedded resource.")]}


def test_multiple_content_types(call):
    return {
        "content": [
            {"type": "text", "text": "Multiple content types test:"},
            {"type": "image", "data": IMAGE, "mimeType": "image/png"},
            embedded("test://mixed-content-resource", "application/json", '{"test": "data", "value": 123}'),
        ]
    }


def test_tool_with_logging(call):
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        call.log(line)
        time.sleep(0.05)
    return text("Tool with logging executed successfully")


def test_logging_tool(call):
    return test_tool_with_logging(call)


def test_tool_with_progress(call):
    for done in (0, 50, 100):
        call.progress(done, 100)
        time.sleep(0.05)
    return text(str(call.meta.get("progressToken", 0)))


def test_error_handling(call):
    return {**text("This tool intentionally returns an error for testing"), "isError": True}


def test_sampling(call):
    params = sample(call.arguments.get("prompt", ""))["params"]
    answer = call.ask("sampling/createMessage", params)
    return text(f"LLM response: {answer.get('content', {}).get('text')}")


def elicited(call, message, properties, required=()):
    schema = {"type": "object", "properties": properties, "required": list(required)}
    answer = call.ask("elicitation/create", {"message": message, "requestedSchema": schema})
    return f"action={answer.get('action')}, content={json.dumps(answer.get('content', {}))}"


def test_elicitation(call):
    response = {"response": {"type": "string", "description": "User's response"}}
    said = elicited(call, call.arguments.get("message", ""), response, ["response"])
    return text(f"User response: {said}")


def test_elicitation_sep1034_defaults(call):
    properties = {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    }
    return text(f"Elicitation result: {elicited(call, 'Please provide user information', properties)}")


def titled(**options):
    return [{"const": name, "title": title} for name, title in options.items()]


def test_elicitation_sep1330_enums(call):
    features = titled(feature="New Feature", bug="Bug Fix", docs="Documentation")
    properties = {
        "untitledSingle": {"type": "string", "enum": ["active", "inactive", "pending"]},
        "titledSingle": {"type": "string", "oneOf": titled(low="Low", medium="Medium", high="High")},
        "legacyEnum": {
            "type": "string",
            "enum": ["small", "medium", "large"],
            "enumNames": ["Small Size", "Medium Size", "Large Size"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["read", "write", "execute"]}},
        "titledMulti": {"type": "array", "items": {"anyOf": features}},
    }
    return text(f"Elicitation completed: {elicited(call, 'Please select values', properties)}")


def test_missing_capability(call):
    if "sampling" not in call.capabilities:
        needed = {"requiredCapabilities": {"sampling": {}}}
        raise Refusal(-32021, "This tool needs the client's capability `sampling`", needed)
    return text("The client can sample.")


def test_streaming_elicitation(call):
    if "ask" in call.responses:
        return text("Thank you.")
    call.progress(0, 1)
    return question({"ask": elicit("What is your name?", **NAME)})


def test_input_required_result_elicitation(call):
    if "user_name" in call.responses:
        return text(f"Hello, {call.responses['user_name'].get('content', {}).get('name')}!")
    return question({"user_name": elicit("What is your name?", **NAME)})


def test_input_required_result_sampling(call):
    if "capital_question" in call.responses:
        return text(f"Model said: {call.responses['capital_question'].get('content', {}).get('text')}")
    return question({"capital_question": sample("What is the capital of France?")})


def test_input_required_result_list_roots(call):
    if "client_roots" in call.responses:
        return text(f"Roots: {[root.get('uri') for root in call.responses['client_roots'].get('roots', [])]}")
    return question({"client_roots": ROOTS})


def test_input_required_result_request_state(call):
    if "confirm" in call.responses and opened(call.state) == "waiting":
        return text("state-ok: confirmation received")
    return question({"confirm": elicit("Please confirm", ok={"type": "boolean"})}, "waiting")


def test_input_required_result_multiple_inputs(call):
    if {"user_name", "greeting", "client_roots"} <= call.responses.keys():
        return text("All inputs received.")
    asked = {
        "user_name": elicit("What is your name?", **NAME),
        "greeting": sample("Generate a greeting", 50),
        "client_roots": ROOTS,
    }
    return question(asked, "multiple")


def test_input_required_result_multi_round(call):
    state = {"round": 0} if call.state is None else opened(call.state)
    if state["round"] == 1 and "step1" in call.responses:
        name = call.responses["step1"].get("content", {}).get("name")
        asked = {"step2": elicit("Step 2: What is your favorite color?", color={"type": "string"})}
        return question(asked, {"round": 2, "name": name})
    if state["round"] == 2 and "step2" in call.responses:
        return text(f"{state['name']} likes {call.responses['step2'].get('content', {}).get('color')}.")
    return question({"step1": elicit("Step 1: What is your name?", **NAME)}, {"round": 1})


def test_input_required_result_tampered_state(call):
    if call.state is None:
        return question({"confirm": elicit("Please confirm", ok={"type": "boolean"})}, "round-1")
    return text(f"state-ok: {opened(call.state)}")


def test_input_required_result_capabilities(call):
    offers = {
        "sampling": ("sample", sample("Say hello", 50)),
        "elicitation": ("ask", elicit("Name?", **NAME)),
    }
    asked = dict(offer for capability, offer in offers.items() if capability in call.capabilities)
    return question(asked, "gated")


def json_schema_2020_12_tool(call):
    return text(json.dumps(call.arguments))


def test_x_mcp_header(call):
    return text(f"region={call.arguments.get('region')}")


def test_trigger_tool_change(call):
    notify("notifications/tools/list_changed")
    return text("tool list changed")


def test_trigger_prompt_change(call):
    notify("notifications/prompts/list_changed")
    return text("prompt list changed")


def test_reconnection(call):
    return text("Reconnection test completed")


TOOLS = {
    tool.__name__: tool
    for tool in (
        test_simple_text, test_image_content, test_audio_content, test_embedded_resource,
        test_multiple_content_types, test_tool_with_logging, test_logging_tool, test_tool_with_progress,
        test_error_handling, test_sampling, test_elicitation, test_elicitation_sep1034_defaults,
        test_elicitation_sep1330_enums, test_missing_capability, test_streaming_elicitation,
        test_input_required_result_elicitation, test_input_required_result_sampling,
        test_input_required_result_list_roots, test_input_required_result_request_state,
        test_input_required_result_multiple_inputs, test_input_required_result_multi_round,
        test_input_required_result_tampered_state, test_input_required_result_capabilities,
        json_schema_2020_12_tool, test_x_mcp_header, test_trigger_tool_change, test_trigger_prompt_change,
        test_reconnection,
    )
}  # fmt: skip
SCHEMA_2020_12 = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
SCHEMAS = {
    "json_schema_2020_12_tool": SCHEMA_2020_12,
    "test_sampling": {"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]},
    "test_elicitation": {
        "type": "object",
        "properties": {"message": {"type": "string"}},
        "required": ["message"],
    },
    "test_x_mcp_header": {
        "type": "object",
        "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
    },
}


def user(*contents):
    return {"messages": [{"role": "user", "content": content} for content in contents]}


def test_simple_prompt(call):
    return user({"type": "text", "text": "This is a simple prompt for testing."})


def test_prompt_with_arguments(call):
    first, second = call.arguments.get("arg1"), call.arguments.get("arg2")
    return user({"type": "text", "text": f"Prompt with arguments: arg1='{first}', arg2='{second}'"})


def test_prompt_with_embedded_resource(call):
    uri = call.arguments.get("resourceUri", "")
    return user(
        embedded(uri, "text/plain", "Embedded resource content for testing."),
        {"type": "text", "text": "Please process the embedded resource above."},
    )


def test_prompt_with_image(call):
    return user(
        {"type": "image", "data": IMAGE, "mimeType": "image/png"},
        {"type": "text", "text": "Please analyze the image above."},
    )


def test_input_required_result_prompt(call):
    if "user_context" in call.responses:
        context = call.responses["user_context"].get("content", {}).get("context")
        return user({"type": "text", "text": f"Use the following context: {context}"})
    return question({"user_context": elicit("What context should be used?", context={"type": "string"})})


PROMPTS = {
    test_simple_prompt: (),
    test_prompt_with_arguments: ("arg1", "arg2"),
    test_prompt_with_embedded_resource: ("resourceUri",),
    test_prompt_with_image: (),
    test_input_required_result_prompt: (),
}
RESOURCES = {
    "test://static-text": {
        "mimeType": "text/plain",
        "text": "This is the content of the static text resource.",
    },
    "test://static-binary": {"mimeType": "image/png", "blob": IMAGE},
    "test://watched-resource": {"mimeType": "text/plain", "text": "Watched resource content"},
}
TEMPLATE = re.compile("test://template/([^/]+)/data")


def initialize(call):
    wanted = call.params.get("protocolVersion")
    version = wanted if wanted in VERSIONS else VERSIONS[0]
    return {"protocolVersion": version, "capabilities": CAPABILITIES, "serverInfo": INFO}


def discover(call):
    return {"supportedVersions": [MODERN, *VERSIONS], "capabilities": CAPABILITIES}


def list_tools(call):
    plain = {"type": "object", "properties": {}}
    tools = [
        {
            "name": name,
            "description": name.replace("_", " ").capitalize(),
            "inputSchema": SCHEMAS.get(name, plain),
        }
        for name in TOOLS
    ]
    return {"tools": tools}


def call_tool(call):
    tool = TOOLS.get(call.params.get("name"))
    if tool is None:
        raise Refusal(-32602, f"Unknown tool: {call.params.get('name')}")
    return tool(call)


def list_prompts(call):
    prompts = []
    for prompt, arguments in PROMPTS.items():
        described = [{"name": name, "description": name, "required": True} for name in arguments]
        prompts.append({"name": prompt.__name__, "description": prompt.__name__, "arguments": described})
    return {"prompts": prompts}


def get_prompt(call):
    prompt = next((prompt for prompt in PROMPTS if prompt.__name__ == call.params.get("name")), None)
    if prompt is None:
        raise Refusal(-32602, f"Unknown prompt: {call.params.get('name')}")
    return prompt(call)


def list_resources(call):
    return {
        "resources": [
            {"uri": uri, "name": uri.rpartition("/")[2], "mimeType": content["mimeType"]}
            for uri, content in RESOURCES.items()
        ]
    }


def list_templates(call):
    template = {
        "uriTemplate": "test://template/{id}/data",
        "name": "template",
        "mimeType": "application/json",
    }
    return {"resourceTemplates": [template]}


def read_resource(call):
    uri = call.params.get("uri", "")
    if uri in RESOURCES:
        return {"contents": [{"uri": uri, **RESOURCES[uri]}]}
    if match := TEMPLATE.fullmatch(uri):
        body = {"id": match[1], "templateTest": True, "data": f"Data for ID: {match[1]}"}
        return {"contents": [{"uri": uri, "mimeType": "application/json", "text": json.dumps(body)}]}
    raise Refusal(-32602 if call.is_modern else -32002, "Resource not found", {"uri": uri})


def complete(call):
    return {"completion": {"values": [], "total": 0, "hasMore": False}}


def nothing(call):
    return {}


METHODS = {
    "initialize": initialize,
    "server/discover": discover,
    "ping": nothing,
    "logging/setLevel": nothing,
    "resources/subscribe": nothing,
    "resources/unsubscribe": nothing,
    "tools/list": list_tools,
    "tools/call": call_tool,
    "prompts/list": list_prompts,
    "prompts/get": get_prompt,
    "resources/list": list_resources,
    "resources/templates/list": list_templates,
    "resources/read": read_resource,
    "completion/complete": complete,
}
REMOVED = {"initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"}
CACHEABLE = {"tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read"}


def modernised(method, result):
    """What 2026-07-28 asks of a result."""
    hints = {"ttlMs": 0, "cacheScope": "private"} if method in CACHEABLE else {}
    return {"resultType": "complete", **hints, **result, "_meta": {f"{PREFIX}serverInfo": INFO}}


def answer(message):
    method = message["method"]
    call = Call(message.get("params") or {})
    try:
        if method not in METHODS or (call.is_modern and method in REMOVED):
            raise Refusal(-32601, f"Method not found: {method}")
        result = METHODS[method](call)
        if call.is_modern:
            result = modernised(method, result)
        send({"id": message["id"], "result": result})
    except Refusal as refusal:
        send({"id": message["id"], "error": refusal.error})


def main():
    for line in sys.stdin:
        message = json.loads(line)
        if "method" not in message:
            waiting = WAITING.get(message.get("id"))
            if waiting is not None:
                waiting.update({key: message[key] for key in ("result", "error") if key in message})
                waiting["came"].set()
        elif "id" in message:
            threading.Thread(target=answer, args=(message,), daemon=True).start()


if __name__ == "__main__":
    main()

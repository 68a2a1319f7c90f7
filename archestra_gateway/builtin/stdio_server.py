"""An MCP server over stdin and stdout, with the standard library alone: an SDK would be slow to start."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

from archestra_gateway.builtin.arguments import complaints

VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
LINE_LIMIT = 64 * 1024 * 1024

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603

Json = dict[str, Any]


class Tool(NamedTuple):
    """`description` is what `tools/list` tells; `run` takes arguments that fit it and gives a result."""

    description: Json
    run: Callable[..., Json]


class Server(NamedTuple):
    """`in_words` makes what a tool raised a sentence for the model; None means that nobody expected it."""

    name: str
    title: str
    version: str
    instructions: str
    tools: Sequence[Tool]
    in_words: Callable[[Exception, Json], str | None]


class RpcError(Exception):
    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


def serve(server: Server, source: BinaryIO, target: BinaryIO) -> None:
    """Answers line by line until the client closes its end."""
    for line in lines(source):
        answered = answer(server, line)
        if answered is not None:
            # A file name that is not Unicode must not break the line for its reader: "replace".
            target.write(json.dumps(answered, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
            target.flush()


def lines(source: BinaryIO, limit: int = LINE_LIMIT) -> Iterator[bytes | None]:
    """None stands for a line that was too long and is gone."""
    while line := source.readline(limit):
        yield line if line.endswith(b"\n") or len(line) < limit else None
        while line and not line.endswith(b"\n"):
            line = source.readline(limit)


def answer(server: Server, line: bytes | None) -> Json | None:
    """The answer to one line; None for what is not answered: notifications, answers, empty lines."""
    if line is not None and not line.strip():
        return None
    identity: Any = None
    try:
        message = _decoded(line)
        if "method" not in message and ("result" in message or "error" in message):
            return None
        identity = _identity(message)
        method, params = _called(message)
        if "id" not in message:
            return None
        return {"jsonrpc": "2.0", "id": identity, "result": _result(server, method, params)}
    except RpcError as error:
        return {"jsonrpc": "2.0", "id": identity, "error": {"code": error.number, "message": str(error)}}


def _decoded(line: bytes | None) -> Json:
    if line is None:
        raise RpcError(INVALID_REQUEST, f"A message can have at most {LINE_LIMIT} bytes")
    try:
        message = json.loads(line)
    except RecursionError as error:
        raise RpcError(PARSE_ERROR, "The message is nested too deeply") from error
    except ValueError as error:
        raise RpcError(PARSE_ERROR, f"The message is not JSON: {error}") from error
    if isinstance(message, list):
        raise RpcError(INVALID_REQUEST, "Batches are not supported; send one message a line")
    if not isinstance(message, dict):
        raise RpcError(INVALID_REQUEST, "A message must be a JSON object")
    return message


def _identity(message: Json) -> str | int | None:
    identity = message.get("id")
    if "id" in message and type(identity) not in (str, int):
        raise RpcError(INVALID_REQUEST, "id must be a string or an integer")
    return identity


def _called(message: Json) -> tuple[str, Json]:
    method, params = message.get("method"), message.get("params", {})
    if not isinstance(method, str):
        raise RpcError(INVALID_REQUEST, "method must be a string")
    if not isinstance(params, dict):
        raise RpcError(INVALID_PARAMS, "params must be an object")
    return method, params


def _result(server: Server, method: str, params: Json) -> Json:
    match method:
        case "initialize":
            return _initialize(server, params)
        case "ping":
            return {}
        case "tools/list":
            return {"tools": [tool.description for tool in server.tools]}
        case "tools/call":
            return _call(server, params)
    raise RpcError(METHOD_NOT_FOUND, f"There is no method {method} here")


def _initialize(server: Server, params: Json) -> Json:
    wanted = params.get("protocolVersion")
    if not isinstance(wanted, str):
        raise RpcError(INVALID_PARAMS, "protocolVersion must be a string")
    return {
        "protocolVersion": wanted if wanted in VERSIONS else VERSIONS[-1],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": server.name, "title": server.title, "version": server.version},
        "instructions": server.instructions,
    }


def _call(server: Server, params: Json) -> Json:
    """Arguments that do not fit are a result, not a protocol error: the model sees it and can do better."""
    name, arguments = params.get("name"), params.get("arguments", {})
    tool = next((tool for tool in server.tools if tool.description["name"] == name), None)
    if tool is None:
        names = ", ".join(tool.description["name"] for tool in server.tools)
        raise RpcError(INVALID_PARAMS, f"There is no tool {name!r} here; there are {names}")
    if not isinstance(arguments, dict):
        raise RpcError(INVALID_PARAMS, "arguments must be an object")
    if wrong := complaints(tool.description["inputSchema"], arguments):
        return failure(" ".join(wrong))
    try:
        return tool.run(**arguments)
    except Exception as error:
        sentence = server.in_words(error, arguments)
        if sentence is None:
            sys.excepthook(type(error), error, error.__traceback__)
            raise RpcError(INTERNAL_ERROR, "Internal error") from error
        return failure(sentence)


def text(*blocks: str) -> Json:
    """A result that is to be read."""
    return {"content": [{"type": "text", "text": block} for block in blocks]}


def structured(value: Json) -> Json:
    """A result for programs, and the same as text for clients that know nothing else."""
    return text(json.dumps(value, ensure_ascii=False)) | {"structuredContent": value}


def failure(sentence: str) -> Json:
    return text(sentence) | {"isError": True}

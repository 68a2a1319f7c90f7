"""JSON-RPC 2.0 as text: one level is taken apart, every value below it stays the bytes it came as."""

import json
import re
from collections.abc import Mapping
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, ClassVar, Literal, NoReturn

import msgspec
from msgspec import Raw

from archestra_gateway.errors import GatewayError, InvalidRequest

Message = dict[str, Raw]
"""Member name → the value's own text, e.g. `{"jsonrpc": Raw(b'"2.0"'), "id": Raw(b"1"), …}`."""

Kind = Literal["request", "notification", "answer"]

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
FAILED = -32000
TIMED_OUT = -32001

ERROR_NUMBERS: Mapping[str, int] = {
    "INVALID_REQUEST": INVALID_REQUEST,
    "VALIDATION_FAILED": INVALID_PARAMS,
    "INTERNAL_ERROR": INTERNAL_ERROR,
    "UPSTREAM_TIMEOUT": TIMED_OUT,
}
"""What is not named here is FAILED."""

NULL = Raw(b"null")
VERSION = Raw(b'"2.0"')

_members = msgspec.json.Decoder(Message)
_elements = msgspec.json.Decoder(list[Raw])
_encoder = msgspec.json.Encoder()
_anything = msgspec.json.Decoder()
_space = re.compile(r"[ \t\n\r]*")


class ProtocolError(InvalidRequest):
    """Against JSON-RPC or MCP itself; its details stand at the top of the error's `data` too."""

    number: ClassVar[int] = INVALID_REQUEST


class ParseError(ProtocolError):
    """It is not JSON."""

    number = PARSE_ERROR


class InvalidMessage(ProtocolError):
    """It is JSON, and not a JSON-RPC message."""


def decode(text: bytes) -> Message:
    """The members of the JSON object `text`. Raises ParseError or InvalidMessage."""
    try:
        if not text.isascii():
            text.decode()  # msgspec does not look inside raw values
        return _members.decode(text)
    except RecursionError as error:
        raise ParseError("The message is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise ParseError(f"The message is not UTF-8 (byte {error.start})") from error
    except msgspec.ValidationError as error:
        _refuse(text, error)
    except msgspec.DecodeError as error:
        return _decode_slowly(text, error)


def elements(text: bytes) -> list[Raw]:
    """The elements of a JSON array, each as its own text. Raises ParseError."""
    try:
        return _elements.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        try:
            return _split_array(text.decode())
        except (ValueError, RecursionError):
            raise ParseError(f"It is not a JSON array: {error}") from error


def encode(message: Mapping[str, Any]) -> bytes:
    return _encoder.encode(message)


def line(message: Mapping[str, Any]) -> bytes:
    """One message as one line: a raw line end stands between tokens, for no JSON string can hold one."""
    text = _encoder.encode(message)
    if b"\n" in text or b"\r" in text:
        text = text.replace(b"\n", b" ").replace(b"\r", b" ")
    return text + b"\n"


def raw(value: Any) -> Raw:
    return Raw(_encoder.encode(value))


def value(text: Raw | None) -> Any:
    """What a raw value says; None when there is none."""
    if text is None:
        return None
    try:
        return _anything.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return json.loads(bytes(text))


def kind(message: Message) -> Kind:
    """Raises InvalidMessage for what is none of the three."""
    if message.get("jsonrpc") != VERSION:
        raise InvalidMessage('A JSON-RPC message has the member `"jsonrpc": "2.0"`')
    identifier = message.get("id", NULL)
    if bytes(identifier)[:1] not in b'"-0123456789n':
        raise InvalidMessage("The `id` of a JSON-RPC message is a string or a number")
    if "method" in message:
        if bytes(message["method"])[:1] != b'"':
            raise InvalidMessage("The `method` of a JSON-RPC request is a string")
        return "notification" if identifier == NULL else "request"
    if "result" in message or "error" in message:
        return "answer"
    raise InvalidMessage("A JSON-RPC message has a `method`, a `result` or an `error`")


def request(identifier: Any, method: str, params: Any = None) -> Message:
    message = {"jsonrpc": VERSION, "id": raw(identifier), "method": raw(method)}
    return message if params is None else {**message, "params": raw(params)}


def notification(method: str, params: Any = None) -> Message:
    message = {"jsonrpc": VERSION, "method": raw(method)}
    return message if params is None else {**message, "params": raw(params)}


def result(identifier: Raw | None, outcome: Any) -> Message:
    return {"jsonrpc": VERSION, "id": identifier or NULL, "result": raw(outcome)}


def error(identifier: Raw | None, number: int, message: str, data: Any = None) -> Message:
    body = {"code": number, "message": message}
    return {
        "jsonrpc": VERSION,
        "id": identifier or NULL,
        "error": raw(body if data is None else {**body, "data": data}),
    }


def failure(identifier: Raw | None, cause: GatewayError) -> Message:
    """An error of ours: the envelope is the JSON-RPC error's `data`."""
    if isinstance(cause, ProtocolError):
        return error(identifier, cause.number, cause.message, {**cause.details, **cause.body()})
    return error(identifier, ERROR_NUMBERS.get(cause.code, FAILED), cause.message, cause.body())


def _refuse(text: bytes, cause: Exception) -> NoReturn:
    if text.lstrip()[:1] == b"[":
        raise InvalidMessage("Batches are not supported: send one JSON-RPC message at a time") from cause
    raise InvalidMessage("A JSON-RPC message is a JSON object") from cause


def _decode_slowly(text: bytes, cause: msgspec.DecodeError) -> Message:
    """For what msgspec refuses although it is legal, as the escape of half a surrogate pair is."""
    try:
        return _split(text.decode())
    except (ValueError, RecursionError):
        raise ParseError(f"The message is not valid JSON: {cause}") from cause


def _split(text: str) -> Message:
    """Like `_members.decode`, with the standard library deciding where a value ends."""
    message: Message = {}
    at = _skip(text, _skip(text, 0), "{")
    while text[at : at + 1] != "}" or message:
        key, at = scanstring(text, _skip(text, at, '"'), True)
        start = _skip(text, at, ":")
        at = _DECODER.raw_decode(text, start)[1]
        message[key] = Raw(text[start:at].encode())
        at = _skip(text, at)
        if text[at : at + 1] == "}":
            break
        at = _skip(text, at, ",")
    if _skip(text, at + 1) != len(text):
        raise ValueError("trailing characters")
    key_text = "".join(message)
    key_text.encode()  # a key with half a pair could not be written again
    return message


def _split_array(text: str) -> list[Raw]:
    found: list[Raw] = []
    at = _skip(text, _skip(text, 0), "[")
    while text[at : at + 1] != "]" or found:
        start = at
        at = _DECODER.raw_decode(text, start)[1]
        found.append(Raw(text[start:at].encode()))
        at = _skip(text, at)
        if text[at : at + 1] == "]":
            break
        at = _skip(text, at, ",")
    if _skip(text, at + 1) != len(text):
        raise ValueError("trailing characters")
    return found


def _skip(text: str, at: int, expected: str = "") -> int:
    """The place after white space, what is expected there, and white space (none after a quote)."""
    at = _space.match(text, at).end()  # type: ignore[union-attr]
    if not text.startswith(expected, at):
        raise ValueError(f"expected {expected} at {at}")
    at += len(expected)
    return at if expected == '"' else _space.match(text, at).end()  # type: ignore[union-attr]


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_int=str, parse_float=str)

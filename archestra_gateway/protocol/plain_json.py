"""JSON of strangers as values that can be written again, in the database and on every stream. Pure."""

import json
from typing import Any

import msgspec


def decoded(text: bytes | str) -> Any:
    """Half a surrogate pair becomes `?`; None for what is not JSON."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _decoded_slowly(text)


def _decoded_slowly(text: bytes | str) -> Any:
    try:
        whole = json.dumps(json.loads(text), ensure_ascii=False)
        return json.loads(whole.encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None

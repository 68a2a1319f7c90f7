"""One row of the HTTP surface."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal

import attrs
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

Carrier = Literal["json", "jsonrpc", "llm"]
"""How an error travels, and what a body must be: `json` = our REST envelope and JSON bodies; `jsonrpc` = JSON bodies,
errors as JSON-RPC with the envelope in `data`; `llm` = any body, our envelope only when the gateway itself failed."""


@attrs.frozen(eq=False)
class Route:
    """`operation` is `<tag>.<verb>`; `takes`, `query` and `gives` are attrs classes (or `list[...]` of one)."""

    method: str
    path: str
    handler: Handler
    operation: str
    summary: str = ""
    takes: type | None = None
    query: type | None = None
    gives: Any = None
    status: int = 200
    media_type: str = "application/json"
    administration: bool = False
    carrier: Carrier = "json"

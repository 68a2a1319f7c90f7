"""The request log as clients ask for it and get it."""

import re
from typing import Any, Literal

import attrs

from archestra_gateway import timestamp

CURSOR = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)_(\d{1,18})")
Kind = Literal["mcp", "llm"]


def _moment(name: str) -> Any:
    """A field for an ISO 8601 time, kept in our one form."""

    def convert(text: str) -> str:
        try:
            return timestamp.normalised(text)
        except ValueError as error:
            raise ValueError(f"`{name}` must be a time such as 2026-11-25T01:23:14.123Z") from error

    return attrs.field(
        default=None,
        converter=attrs.converters.optional(convert),
        metadata={"schema": {"format": "date-time"}},
    )


def _number(default: int | None, least: int, most: int) -> Any:
    """A field for a whole number within bounds."""

    def check(instance: Any, attribute: "attrs.Attribute[int]", value: int) -> None:
        if not least <= value <= most:
            raise ValueError(f"`{attribute.name}` must be from {least} to {most}")

    return attrs.field(
        default=default,
        validator=attrs.validators.optional(check),
        metadata={"schema": {"minimum": least, "maximum": most}},
    )


def _is_cursor(instance: Any, attribute: "attrs.Attribute[str | None]", value: str | None) -> None:
    if value is not None and not CURSOR.fullmatch(value):
        raise ValueError("`cursor` must be the `next_cursor` of another page")


@attrs.frozen(kw_only=True)
class StatsQuery:
    """Which calls are meant: those that fit every filter. `start_time` is included, `end_time` is not."""

    server_name: str | None = None
    session_id: str | None = None
    mcp_session_id: str | None = None
    request_id: str | None = None
    kind: Kind | None = None
    method: str | None = None
    tool_name: str | None = None
    client_name: str | None = None
    status_code: int | None = _number(None, 100, 599)
    start_time: str | None = _moment("start_time")
    end_time: str | None = _moment("end_time")


@attrs.frozen(kw_only=True)
class LogQuery(StatsQuery):
    """`cursor`, another page's `next_cursor`, goes on from there as fast however far; it outdoes `page`."""

    page: int = _number(1, 1, 1_000_000_000)
    page_size: int = _number(50, 1, 500)
    cursor: str | None = attrs.field(default=None, validator=_is_cursor)


@attrs.frozen(kw_only=True)
class ClearLog:
    """What to delete: the calls from before a time, or everything by `clear_all=true`."""

    clear_all: bool = False
    before: str | None = _moment("before")

    def __attrs_post_init__(self) -> None:
        if not self.clear_all and self.before is None:
            raise ValueError(
                "`clear_all=true` is needed to delete every call, or `before` to delete the older ones"
            )


@attrs.frozen(kw_only=True)
class ClientInfo:
    user_agent: str | None
    client_name: str | None
    client_version: str | None
    client_platform: str | None


@attrs.frozen(kw_only=True)
class LogRow:
    """A call without its headers and bodies, which `GET /api/mcp_request_log/{request_id}` has.

    `method` is the JSON-RPC method of an MCP call, and HTTP method and path of an LLM call.
    """

    id: int
    request_id: str
    kind: Kind
    timestamp: str
    session_id: str | None
    mcp_session_id: str | None
    server_name: str
    client_info: ClientInfo
    method: str | None
    tool_name: str | None
    status_code: int | None
    error_message: str | None
    duration_ms: float


@attrs.frozen(kw_only=True)
class LogEntry(LogRow):
    """A call whole. Secrets are replaced by `[redacted]`, and a body that was cut says so."""

    request_headers: dict[str, str]
    request_body: str | None
    request_body_truncated: bool
    response_headers: dict[str, str]
    response_body: str | None
    response_body_truncated: bool


@attrs.frozen(kw_only=True)
class LogPage:
    """The newest first. `total` counts no further than 10,000; `total_is_exact` says whether that was enough.

    `page` is null where a cursor was given; `next_cursor` is null on the last page.
    """

    data: list[LogRow]
    total: int
    total_is_exact: bool
    page: int | None
    page_size: int
    next_cursor: str | None


@attrs.frozen(kw_only=True)
class LogStats:
    """Percentiles are within 5 % of the true ones.

    With other filters than `server_name`, `kind`, `start_time` and `end_time` only the newest 10,000 that
    fit are looked at, and `is_exact` is false where there are more.
    """

    total_requests: int
    success_count: int
    error_count: int
    avg_duration_ms: float
    p50_duration_ms: float
    p95_duration_ms: float
    p99_duration_ms: float
    requests_per_server: dict[str, int]
    is_exact: bool


@attrs.frozen(kw_only=True)
class Cleared:
    deleted: int

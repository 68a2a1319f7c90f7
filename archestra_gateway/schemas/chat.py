"""Chats as clients get them."""

import re
from typing import Any, Literal

import attrs

CURSOR = re.compile(r"[0-9TZ:.-]{1,32}_[A-Za-z0-9_.~:-]{1,128}")

RunState = Literal["running", "complete", "stopped", "failed", "broken"]


def _is_title(instance: Any, attribute: "attrs.Attribute[str]", value: str) -> None:
    if not value.strip() or len(value) > 200:
        raise ValueError("`title` must be a text of 1 to 200 characters")


def _is_page(instance: Any, attribute: "attrs.Attribute[int]", value: int) -> None:
    if not 1 <= value <= 1_000_000:
        raise ValueError("`page` is counted from 1")


def _is_page_size(instance: Any, attribute: "attrs.Attribute[int]", value: int) -> None:
    if not 1 <= value <= 200:
        raise ValueError("`page_size` must be between 1 and 200")


def _is_cursor(instance: Any, attribute: "attrs.Attribute[str | None]", value: str | None) -> None:
    if value is not None and not CURSOR.fullmatch(value):
        raise ValueError("`cursor` must be the `next_cursor` of another page")


@attrs.frozen(kw_only=True)
class ChatQuery:
    """`search` finds chats in which all of its words stand."""

    search: str = ""
    page: int = attrs.field(default=1, validator=_is_page)
    page_size: int = attrs.field(default=50, validator=_is_page_size)
    cursor: str | None = attrs.field(default=None, validator=_is_cursor)


@attrs.frozen(kw_only=True)
class UpdateChat:
    title: str = attrs.field(validator=_is_title)


@attrs.frozen(kw_only=True)
class ChatSummary:
    """`last_run` is `broken` where the gateway ended in the middle of an answer."""

    id: str
    title: str
    created_at: str
    updated_at: str
    is_running: bool
    last_run: RunState | None
    last_error: str | None


@attrs.frozen(kw_only=True)
class UiMessage:
    """As the AI SDK has it."""

    id: str
    role: Literal["user", "assistant", "system"]
    parts: list[dict[str, Any]]
    metadata: Any = None


@attrs.frozen(kw_only=True)
class Chat(ChatSummary):
    """What an answer that is still coming has said is in its stream, not here."""

    messages: list[UiMessage]


@attrs.frozen(kw_only=True)
class ChatPage:
    data: list[ChatSummary]
    total: int
    page: int | None
    page_size: int
    next_cursor: str | None

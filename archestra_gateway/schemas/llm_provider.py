"""LLM providers as clients send and get them. A key goes in and never comes out."""

import re
from ipaddress import ip_address
from typing import Any, Literal
from urllib.parse import urlsplit

import attrs

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
PRINTABLE = re.compile(r"[\x21-\x7e]*")
MARKS = re.compile(r"[\s?#@\\\x00-\x1f\x7f]")

KindName = Literal["ollama", "openai", "anthropic"]


def _is_name(instance: Any, attribute: "attrs.Attribute[str]", value: str) -> None:
    if not NAME.fullmatch(value):
        raise ValueError("`name` consists of 1 to 64 letters, digits, `_` and `-`")


def _is_base_url(instance: Any, attribute: "attrs.Attribute[str | None]", value: str | None) -> None:
    if value is None:
        return
    if MARKS.search(value):
        raise ValueError("`base_url` must have no user, query, fragment or blank in it")
    try:
        parts = urlsplit(value)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise ValueError("`base_url` must be an http or https URL, such as https://api.openai.com")
    if any(segment in (".", "..") for segment in parts.path.split("/")) or "//" in parts.path:
        raise ValueError("`base_url` must have a plain path, without `.`, `..` and `//`")


def _is_key(instance: Any, attribute: "attrs.Attribute[str | None]", value: str | None) -> None:
    if value is not None and not PRINTABLE.fullmatch(value):
        raise ValueError("`api_key` must be printable ASCII without blanks")


def sends_in_clear(base_url: str) -> bool:
    """Whether what is sent there can be read on the way: plain http to anywhere but this machine."""
    parts = urlsplit(base_url)
    if parts.scheme == "https":
        return False
    host = parts.hostname or ""
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


@attrs.frozen(kw_only=True)
class CreateLlmProvider:
    """Without a `base_url`, the usual one of its kind. An `api_key` needs https, or loopback."""

    name: str = attrs.field(validator=_is_name)
    kind: KindName
    base_url: str | None = attrs.field(default=None, validator=_is_base_url)
    api_key: str | None = attrs.field(default=None, validator=_is_key, repr=False)


@attrs.frozen(kw_only=True)
class UpdateLlmProvider:
    """What is left out stays as it is; an empty `api_key` removes the stored one."""

    base_url: str | None = attrs.field(default=None, validator=_is_base_url)
    api_key: str | None = attrs.field(default=None, validator=_is_key, repr=False)


@attrs.frozen(kw_only=True)
class LlmProvider:
    """A built-in one comes from the configuration and has no times."""

    name: str
    kind: KindName
    base_url: str
    has_key: bool
    is_builtin: bool
    created_at: str | None
    updated_at: str | None

"""What a setting's value must be; each check says it in words that follow its name ("must be …")."""

import re
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

Check = Callable[[Any, "attrs.Attribute[Any]", Any], None]
"""An attrs validator."""

ENDPOINT = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]):[1-9][0-9]{0,4}")
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")


def between(least: float, most: float) -> Check:
    return _check(lambda value: least <= value <= most, f"must be between {least} and {most}")


def at_least(least: float) -> Check:
    return _check(lambda value: value >= least, f"must be at least {least}")


def one_of(*choices: str) -> Check:
    return _check(lambda value: value in choices, f"must be one of {', '.join(choices)}")


def each(check: Check) -> Check:
    """The check for every item of a list."""

    def check_items(instance: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        for item in value:
            check(instance, attribute, item)

    return check_items


def _check(holds: Callable[[Any], bool], rule: str) -> Check:
    def check(_instance: Any, _attribute: "attrs.Attribute[Any]", value: Any) -> None:
        if not holds(value):
            raise ValueError(
                f"{rule}, not {str(value)!r}" if isinstance(value, str | Path) else f"{rule}, not {value}"
            )

    return check


def _is_ip_address(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def _is_url(value: str) -> bool:
    """http or https, a host, perhaps a port and a path; the empty text is the business of `not_empty`."""
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - raises when it is no number from 0 to 65535
    except ValueError:
        return False
    plain = not parts.query and not parts.fragment and "@" not in parts.netloc
    return not value or (parts.scheme in ("http", "https") and bool(parts.hostname) and plain)


def _is_origin(value: str) -> bool:
    """`scheme://host[:port]` and nothing after it, as a browser writes it (RFC 6454 §6.2)."""
    scheme, separator, host = value.partition("://")
    return bool(separator) and scheme.isalnum() and bool(HOST.fullmatch(re.sub(r":\d{1,5}$", "", host)))


not_empty = _check(bool, "must not be empty")
is_ip_address = _check(_is_ip_address, "must be IP addresses such as 127.0.0.1 or ::1")
is_absolute = _check(lambda value: value.is_absolute(), "must be an absolute path or begin with ~")
is_url = _check(_is_url, "must be a URL such as http://localhost:54587, without query or user name")
is_origin = _check(_is_origin, "must be origins such as http://localhost:1420, without a path")
is_host = _check(lambda value: bool(HOST.fullmatch(value)), "must be host names without scheme or port")
is_endpoint = _check(
    lambda value: bool(ENDPOINT.fullmatch(value)), "must be host:port, such as files.example.com:443"
)

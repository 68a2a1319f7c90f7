"""What a server says when it refuses: `WWW-Authenticate: Bearer …` (RFC 6750 §3, RFC 9728 §5.1). Pure."""

import re
from collections.abc import Iterable

import attrs

BEARER = re.compile(r"(?:^|,)\s*Bearer(?=\s|,|$)", re.IGNORECASE)
PARAMETER = re.compile(r'\s*,?\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
LONGEST = 8 * 1024

INSUFFICIENT_SCOPE = "insufficient_scope"


@attrs.frozen
class Challenge:
    resource_metadata: str | None = None
    scope: str | None = None
    error: str | None = None


def parse(headers: Iterable[str]) -> Challenge:
    """The Bearer challenge among the values of `WWW-Authenticate`; an empty one when there is none."""
    for text in headers:
        if len(text) <= LONGEST and (found := BEARER.search(text)):
            parameters = _parameters(text, found.end())
            return Challenge(
                parameters.get("resource_metadata"), parameters.get("scope"), parameters.get("error")
            )
    return Challenge()


def _parameters(text: str, position: int) -> dict[str, str]:
    """Up to the next scheme, whose name has no `=` after it."""
    found: dict[str, str] = {}
    while match := PARAMETER.match(text, position):
        name, quoted, plain = match.groups()
        found.setdefault(name.lower(), plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        position = match.end()
    return found


def union(*scopes: str | None) -> str | None:
    """All words of all scopes, each once, in their order; None when there is no word."""
    return " ".join(dict.fromkeys(word for scope in scopes if scope for word in scope.split())) or None

"""Authorization code with PKCE, refresh and revocation (RFC 6749, 7636, 8707, 7009)."""

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import attrs

from archestra_gateway.errors import UpstreamError, UpstreamUnavailable
from archestra_gateway.oauth.client import Client
from archestra_gateway.oauth.fetch import Answer, Fetcher
from archestra_gateway.oauth.reach import printable

TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
"""What may stand in a header."""

FOR_GOOD = frozenset(
    {"invalid_grant", "invalid_client", "unauthorized_client", "invalid_scope", "invalid_target"}
)


class GrantRefused(UpstreamError):
    """The authorization server said no; asking again will not help. `error` is its word for it."""

    def __init__(self, error: str) -> None:
        super().__init__(f"The authorization server refused: {printable(error)}")
        self.error = error


@attrs.frozen
class Tokens:
    """`expires_at` is a time.time(), absolute so that it survives a restart."""

    access_token: str = attrs.field(repr=False)
    refresh_token: str | None = attrs.field(repr=False)
    scope: str | None
    expires_at: float | None
    lifetime: float | None


@attrs.frozen
class Verifier:
    """The secret half of PKCE, and its public half."""

    text: str = attrs.field(repr=False, factory=lambda: secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.text.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def authorization_url(
    endpoint: str, client: Client, state: str, verifier: Verifier, resource: str, scope: str | None
) -> str:
    """Where the person logs in. What the endpoint's own query says stays, where it is not ours to say."""
    ours = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": client.redirect_uri,
        "state": state,
        "code_challenge": verifier.challenge,
        "code_challenge_method": "S256",
        "resource": resource,
    }
    if scope:
        ours["scope"] = scope
        if "offline_access" in scope.split():
            ours["prompt"] = "consent"  # OpenID Connect Core §11 gives no refresh token without it
    parts = urlsplit(endpoint)
    theirs = [(name, value) for name, value in parse_qsl(parts.query) if name not in ours]
    return urlunsplit(parts._replace(query=urlencode([*theirs, *ours.items()])))


async def exchange(
    fetcher: Fetcher, endpoint: str, client: Client, code: str, verifier: Verifier, resource: str, now: float
) -> Tokens:
    """Raises GrantRefused, or what kept the answer from coming."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": client.redirect_uri,
        "code_verifier": verifier.text,
        "resource": resource,
    }
    return tokens(await _post(fetcher, endpoint, client, form), now)


async def refresh(
    fetcher: Fetcher, endpoint: str, client: Client, refresh_token: str, resource: str, now: float
) -> Tokens:
    """The new tokens; a server that rotates no refresh tokens lets us keep the old one."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "resource": resource}
    renewed = tokens(await _post(fetcher, endpoint, client, form), now)
    return attrs.evolve(renewed, refresh_token=renewed.refresh_token or refresh_token)


async def revoke(fetcher: Fetcher, endpoint: str, client: Client, held: Tokens) -> None:
    """The refresh token takes its access tokens along (RFC 7009 §2.1)."""
    token = held.refresh_token or held.access_token
    hint = "refresh_token" if held.refresh_token else "access_token"
    await _post(fetcher, endpoint, client, {"token": token, "token_type_hint": hint})


def tokens(answer: Answer, now: float) -> Tokens:
    """Raises GrantRefused or UpstreamError."""
    data = answer.data
    if answer.status != 200:
        error = data.get("error")
        if 400 <= answer.status < 500 and isinstance(error, str) and error in FOR_GOOD:
            raise GrantRefused(error)
        raise UpstreamUnavailable(
            f"The authorization server gave no token: {printable(str(error or answer.status))}"
        )
    access = _token(data, "access_token")
    kind = data.get("token_type")
    if access is None or not isinstance(kind, str) or kind.lower() != "bearer":
        raise UpstreamError("The authorization server answered without a bearer token")
    lifetime = _seconds(data.get("expires_in"))
    scope = data.get("scope")
    return Tokens(
        access_token=access,
        refresh_token=_token(data, "refresh_token"),
        scope=scope if isinstance(scope, str) else None,
        expires_at=None if lifetime is None else now + lifetime,
        lifetime=lifetime,
    )


async def _post(fetcher: Fetcher, endpoint: str, client: Client, form: Mapping[str, str]) -> Answer:
    members, headers = client.credentials()
    return await fetcher.post_form(endpoint, "token endpoint", {**form, **members}, headers)


def _token(data: dict[str, Any], name: str) -> str | None:
    value = data.get(name)
    return value if isinstance(value, str) and TOKEN.fullmatch(value) else None


def _seconds(value: Any) -> float | None:
    """Some servers send it as a text."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if 0 <= seconds < 1e9 else None

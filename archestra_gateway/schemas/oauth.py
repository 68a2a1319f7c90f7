"""Logins at remote MCP servers, as clients ask for them and see them."""

import re
from typing import Any, Literal

import attrs

SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")

AuthorizationState = Literal["needed", "authorizing", "authorized"]


def _are_scopes(
    instance: Any, attribute: "attrs.Attribute[list[str] | None]", value: list[str] | None
) -> None:
    for scope in value or ():
        if not SCOPE.fullmatch(scope):
            raise ValueError("`scopes` are words of printable ASCII without quotes and backslashes")


@attrs.frozen(kw_only=True)
class OAuthClient:
    """A client that was registered by hand where the server's tokens come from, and the scopes to ask for."""

    client_id: str | None = None
    client_secret: str | None = attrs.field(default=None, repr=False)
    scopes: list[str] | None = attrs.field(default=None, validator=_are_scopes)


@attrs.frozen(kw_only=True)
class StartOAuth:
    name: str


@attrs.frozen(kw_only=True)
class StartedOAuth:
    """What a browser is to open; the login must be finished before `expires_at`."""

    auth_url: str
    expires_at: str


@attrs.frozen(kw_only=True)
class Authorization:
    """`needed_scopes` are those that the server asked for and the login does not have."""

    state: AuthorizationState
    issuer: str | None
    scopes: list[str]
    needed_scopes: list[str]
    expires_at: str | None
    can_refresh: bool
    last_error: str | None


@attrs.frozen(kw_only=True)
class ClientMetadata:
    """The gateway as authorization servers see it (RFC 7591 §2)."""

    client_id: str
    client_name: str
    redirect_uris: list[str]
    grant_types: list[str]
    response_types: list[str]
    token_endpoint_auth_method: str
    application_type: str

"""As whom the gateway speaks to an authorization server: one registered by hand, or on the spot."""

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import attrs

from archestra_gateway.errors import Conflict, UpstreamError
from archestra_gateway.oauth.discovery import AuthorizationServer
from archestra_gateway.oauth.fetch import Fetcher
from archestra_gateway.oauth.reach import printable

NAME = "Archestra Gateway"


@attrs.frozen
class Client:
    """`issuer` is whom it is known to; `expires_at` is a time.time()."""

    issuer: str
    client_id: str
    client_secret: str | None = attrs.field(repr=False)
    auth_method: str
    redirect_uri: str
    expires_at: float | None = None

    def is_for(self, issuer: str, redirect_uri: str, now: float) -> bool:
        fits = (self.issuer, self.redirect_uri) == (issuer, redirect_uri)
        return fits and (self.expires_at is None or now < self.expires_at)

    def credentials(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Members of the form and headers that say who asks (RFC 6749 §2.3.1)."""
        secret = self.client_secret
        if self.auth_method == "client_secret_basic" and secret is not None:
            pair = f"{quote(self.client_id, safe='')}:{quote(secret, safe='')}"
            return {}, {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        if self.auth_method == "client_secret_post" and secret is not None:
            return {"client_id": self.client_id, "client_secret": secret}, {}
        return {"client_id": self.client_id}, {}


def described(redirect_uri: str) -> dict[str, Any]:
    """The gateway's client metadata (RFC 7591 §2). Without a scope, so that step-up may ask for more."""
    return {
        "client_name": NAME,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    }


def registered_by_hand(
    server: AuthorizationServer, client_id: str, client_secret: str | None, redirect_uri: str
) -> Client:
    """A client that a person registered and wrote into the server's configuration."""
    method = "none" if client_secret is None else _secret_method(server.auth_methods)
    return Client(server.issuer, client_id, client_secret, method, redirect_uri)


def by_document(server: AuthorizationServer, url: str, redirect_uri: str) -> Client:
    """A client whose id is the URL of its own description."""
    return Client(server.issuer, url, None, "none", redirect_uri)


async def register(fetcher: Fetcher, server: AuthorizationServer, redirect_uri: str) -> Client:
    """RFC 7591. Raises Conflict where only a person can register, UpstreamError where it is refused."""
    if server.registration_endpoint is None:
        raise Conflict(
            f"{printable(server.issuer)} registers no clients by itself. Register one there by hand, with "
            f"the redirect URI {redirect_uri}, and put its client_id into the server's `oauth` member",
            issuer=server.issuer,
            redirect_uri=redirect_uri,
        )
    wanted = described(redirect_uri)
    if "none" not in server.auth_methods:
        wanted["token_endpoint_auth_method"] = _secret_method(server.auth_methods)
    answer = await fetcher.post_json(server.registration_endpoint, "registration endpoint", wanted)
    client_id, secret = answer.data.get("client_id"), answer.data.get("client_secret")
    if answer.status not in (200, 201) or not isinstance(client_id, str) or not client_id:
        reason = answer.data.get("error") or f"status {answer.status}"
        raise UpstreamError(f"{printable(server.issuer)} refused to register us: {printable(str(reason))}")
    method = answer.data.get("token_endpoint_auth_method") or wanted["token_endpoint_auth_method"]
    expiry = answer.data.get("client_secret_expires_at")
    return Client(
        issuer=server.issuer,
        client_id=client_id,
        client_secret=secret if isinstance(secret, str) and secret else None,
        auth_method=str(method),
        redirect_uri=redirect_uri,
        expires_at=float(expiry) if isinstance(expiry, int | float) and expiry > 0 else None,
    )


def _secret_method(offered: tuple[str, ...]) -> str:
    return "client_secret_post" if "client_secret_basic" not in offered else "client_secret_basic"

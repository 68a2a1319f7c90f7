"""From an MCP server to the authorization server that it names (RFC 9728, RFC 8414, OpenID discovery)."""

from typing import Any
from urllib.parse import urlsplit

import attrs

from archestra_gateway.errors import UpstreamError
from archestra_gateway.oauth.challenge import Challenge
from archestra_gateway.oauth.fetch import Fetcher
from archestra_gateway.oauth.reach import Limits, printable

RESOURCE = "/.well-known/oauth-protected-resource"
SERVER = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"
S256 = "S256"


@attrs.frozen
class AuthorizationServer:
    """What its metadata say; every URL in it was checked."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    registration_endpoint: str | None
    revocation_endpoint: str | None
    scopes: tuple[str, ...]
    auth_methods: tuple[str, ...]
    sends_issuer: bool
    takes_metadata_document: bool


@attrs.frozen
class Discovered:
    """`scope` is what the resource itself lists."""

    resource: str
    scope: str | None
    server: AuthorizationServer


async def discover(fetcher: Fetcher, server_url: str, challenge: Challenge) -> Discovered:
    """Raises UpstreamError when there is no login, or none that is safe."""
    resource, scope, issuer = await _resource(fetcher, server_url, challenge)
    return Discovered(resource, scope, await _authorization_server(fetcher, issuer))


async def _resource(fetcher: Fetcher, server_url: str, challenge: Challenge) -> tuple[str, str | None, str]:
    """What the token will be for, the scopes it may have, and who issues it."""
    what = "description of the protected resource"
    for url in resource_urls(server_url, challenge.resource_metadata):
        answer = await fetcher.get(url, what)
        if answer.status != 200 or not answer.data:
            continue
        resource = _text(answer.data, "resource") or ""
        if not covers(resource, server_url):
            raise UpstreamError(
                f"The server asks for a token of {printable(resource)}, which is not itself", url=server_url
            )
        issuers = _texts(answer.data, "authorization_servers")
        if not issuers:
            raise UpstreamError("The server names no authorization server", url=server_url)
        return resource, " ".join(_texts(answer.data, "scopes_supported")) or None, issuers[0]
    parts = urlsplit(server_url)  # as servers of 2025-03-26 have it
    return server_url.partition("#")[0], None, f"{parts.scheme}://{parts.netloc}"


async def _authorization_server(fetcher: Fetcher, issuer: str) -> AuthorizationServer:
    what = "description of the authorization server"
    fetcher.limits.check(issuer, "authorization server")
    for url in issuer_urls(issuer):
        answer = await fetcher.get(url, what)
        if answer.status == 200 and answer.data:
            return parsed(answer.data, issuer, fetcher.limits)
    raise UpstreamError(
        f"{printable(issuer)} does not describe itself as an authorization server, so nobody can log in there"
    )


def parsed(data: dict[str, Any], issuer: str, limits: Limits) -> AuthorizationServer:
    """Raises UpstreamError."""
    said = _text(data, "issuer") or ""
    if not is_same_issuer(said, issuer):
        raise UpstreamError(f"{printable(issuer)} calls itself {printable(said)}: that is another issuer")
    if S256 not in _texts(data, "code_challenge_methods_supported"):
        raise UpstreamError(
            f"{printable(issuer)} does not offer PKCE with S256, without which no login is safe"
        )
    return AuthorizationServer(
        issuer=said,
        authorization_endpoint=limits.check(_text(data, "authorization_endpoint") or "", "login page"),
        token_endpoint=limits.check(_text(data, "token_endpoint") or "", "token endpoint"),
        registration_endpoint=_checked(data, "registration_endpoint", limits),
        revocation_endpoint=_checked(data, "revocation_endpoint", limits),
        scopes=tuple(_texts(data, "scopes_supported")),
        auth_methods=tuple(_texts(data, "token_endpoint_auth_methods_supported")) or ("client_secret_basic",),
        sends_issuer=data.get("authorization_response_iss_parameter_supported") is True,
        takes_metadata_document=data.get("client_id_metadata_document_supported") is True,
    )


def resource_urls(server_url: str, named: str | None) -> list[str]:
    """The one that the server named, that of its path, that of its root."""
    parts = urlsplit(server_url)
    root = f"{parts.scheme}://{parts.netloc}{RESOURCE}"
    path = "" if parts.path == "/" else parts.path
    return list(dict.fromkeys(url for url in (named, f"{root}{path}", root) if url))


def issuer_urls(issuer: str) -> list[str]:
    """RFC 8414 §3 and §5, OpenID Connect Discovery §4."""
    parts = urlsplit(issuer)
    root, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    return list(dict.fromkeys((f"{root}{SERVER}{path}", f"{root}{OPENID}{path}", f"{root}{path}{OPENID}")))


def is_same_issuer(one: str, other: str) -> bool:
    """Letter by letter; only the slash of a bare host may be missing, since libraries add it."""
    return one == other or (
        _is_bare(one) and _is_bare(other) and one.removesuffix("/") == other.removesuffix("/")
    )


def covers(resource: str, server_url: str) -> bool:
    """Whether a token for `resource` is one for this server: same origin, and a path at or above its own."""
    one, other = urlsplit(resource), urlsplit(server_url)
    try:
        same = (one.scheme, one.hostname, one.port) == (other.scheme, other.hostname, other.port)
    except ValueError:
        return False
    folder = one.path.rstrip("/") + "/"
    return same and not one.fragment and one.username is None and (other.path + "/").startswith(folder)


def _is_bare(url: str) -> bool:
    parts = urlsplit(url)
    return parts.path in ("", "/") and not parts.query and not parts.fragment


def _checked(data: dict[str, Any], name: str, limits: Limits) -> str | None:
    url = _text(data, name)
    return None if url is None else limits.check(url, name.replace("_", " "))


def _text(data: dict[str, Any], name: str) -> str | None:
    value = data.get(name)
    return value if isinstance(value, str) and value else None


def _texts(data: dict[str, Any], name: str) -> list[str]:
    value = data.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

"""One login on its way: from the click to the redirect that comes back."""

import secrets
from collections.abc import Mapping

import attrs

from archestra_gateway.errors import GatewayError, InvalidRequest, UpstreamError
from archestra_gateway.oauth import grant
from archestra_gateway.oauth.client import Client
from archestra_gateway.oauth.discovery import Discovered, is_same_issuer
from archestra_gateway.oauth.fetch import Fetcher
from archestra_gateway.oauth.grant import Verifier
from archestra_gateway.oauth.reach import printable
from archestra_gateway.services.oauth_account import Account
from archestra_gateway.services.oauth_credential import Credential
from archestra_gateway.upstreams.server import Server

LONGEST_CODE = 4096


@attrs.frozen(eq=False)
class Flow:
    """Known by its `state`, which is good for one redirect. `expires_at` is a time.time()."""

    server: Server
    server_url: str
    account: Account
    epoch: int
    found: Discovered
    client: Client
    scope: str | None
    expires_at: float
    state: str = attrs.field(repr=False, factory=lambda: secrets.token_urlsafe(32))
    verifier: Verifier = attrs.field(repr=False, factory=Verifier)

    @property
    def url(self) -> str:
        """What the person's browser opens."""
        endpoint = self.found.server.authorization_endpoint
        return grant.authorization_url(
            endpoint, self.client, self.state, self.verifier, self.found.resource, self.scope
        )

    def code(self, query: Mapping[str, str]) -> str:
        """The code in the redirect. Raises what is wrong with it."""
        self._check_issuer(query.get("iss"))
        if error := query.get("error"):
            reason = query.get("error_description") or error
            raise LoginRefused(f"The login was not given: {printable(reason)}")
        code = query.get("code", "")
        if not 0 < len(code) <= LONGEST_CODE:
            raise InvalidRequest("The authorization server sent no code")
        return code

    def _check_issuer(self, issuer: str | None) -> None:
        """RFC 9207: what another server answers is not for this login."""
        server = self.found.server
        if issuer is None and server.sends_issuer:
            raise UpstreamError("The answer does not say which authorization server it is from")
        if issuer is not None and not is_same_issuer(issuer, server.issuer):
            raise UpstreamError(f"The answer comes from {printable(issuer)}, where nobody was sent")

    async def credential(self, fetcher: Fetcher, code: str, now: float) -> Credential:
        server = self.found.server
        tokens = await grant.exchange(
            fetcher, server.token_endpoint, self.client, code, self.verifier, self.found.resource, now
        )
        return Credential(
            server_url=self.server_url,
            resource=self.found.resource,
            issuer=server.issuer,
            token_endpoint=server.token_endpoint,
            revocation_endpoint=server.revocation_endpoint,
            asked=self.scope,
            client=self.client,
            tokens=attrs.evolve(tokens, scope=tokens.scope or self.scope),
        )


class LoginRefused(GatewayError):
    """By the person, or by the authorization server."""

    code = "FORBIDDEN"

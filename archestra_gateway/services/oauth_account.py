"""The login at one remote server: used for every request, renewed when it is due, by one for all."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import attrs

from archestra_gateway import timestamp
from archestra_gateway.config import OAuthConfig
from archestra_gateway.errors import AuthorizationNeeded, GatewayError, UpstreamError
from archestra_gateway.oauth import grant
from archestra_gateway.oauth.challenge import INSUFFICIENT_SCOPE, Challenge, parse
from archestra_gateway.oauth.client import Client
from archestra_gateway.oauth.fetch import open_fetcher
from archestra_gateway.oauth.grant import GrantRefused, Tokens
from archestra_gateway.oauth.reach import Limits
from archestra_gateway.schemas.oauth import Authorization as Shown
from archestra_gateway.services.oauth_credential import CLIENT, CREDENTIAL, Credential, Credentials
from archestra_gateway.upstreams.authorization import Refusal

log = logging.getLogger(__name__)

MARGIN = 30.0
"""Seconds before its end at which a token is renewed; of a short-lived one, a tenth of its life."""


@attrs.define(eq=False)
class Account:
    """`challenge` is what the server last asked for in vain; `changed` hears that `shown` says something new.

    `epoch` counts how often it was forgotten: a login that began before is for another server. A client that
    is not proven led to no login the last time: the authorization server may have forgotten it.
    """

    name: str
    credentials: Credentials
    config: OAuthConfig
    clock: Callable[[], float]
    changed: Callable[["Account"], None]
    run: Callable[[Coroutine[Any, Any, None]], object]
    credential: Credential | None = None
    client: Client | None = None
    challenge: Challenge | None = None
    is_pending: bool = False
    is_client_proven: bool = True
    last_error: str | None = None
    epoch: int = 0
    _renewing: asyncio.Task[Credential] | None = None

    async def headers(self, url: str) -> Mapping[str, str]:
        credential = self._for(url)
        if credential is None:
            return {}
        if self._is_due(credential.tokens):
            credential = await self._renew(credential)
        return {"Authorization": f"Bearer {credential.tokens.access_token}"}

    async def renewed(self, refusal: Refusal) -> bool:
        challenge = parse(refusal.challenges)
        credential = self._for(refusal.url)
        if refusal.status == 403:
            if challenge.error == INSUFFICIENT_SCOPE:
                self._step_up(credential, challenge)
            return False
        if credential is None or refusal.is_second:
            raise self.needed(challenge)
        if refusal.sent == {"Authorization": f"Bearer {credential.tokens.access_token}"}:
            await self._renew(credential, challenge)
        return True

    def worked(self) -> None:
        if self.credential is None and self.challenge is not None:
            self.challenge = None
            self.changed(self)

    async def adopt(self, credential: Credential, epoch: int) -> bool:
        """The fruit of a login; False when the server is gone, or another one by now."""
        if epoch != self.epoch or not await self.credentials.save(self.name, credential, self.credential):
            return False
        self.credential, self.challenge, self.last_error = credential, None, None
        self.is_client_proven = True
        return True

    async def forget(self) -> None:
        """Here at once, and there in the background."""
        credential = self.credential
        self.credential = self.client = self.challenge = self.last_error = None
        self.is_pending = False
        self.epoch += 1
        await self.credentials.drop(self.name, CREDENTIAL, CLIENT)
        if credential is not None:
            self.run(self._revoke(credential))

    async def log_out(self) -> bool:
        """Here at once, and there where revocation is offered and answers. False when there was no login."""
        credential, self.credential = self.credential, None
        await self.credentials.drop(self.name, CREDENTIAL)
        if credential is None:
            self.changed(self)
            return False
        self.challenge = Challenge()
        self.changed(self)
        await self._revoke(credential)
        return True

    def limits(self, server_url: str) -> Limits:
        return Limits.of(server_url, self.config.private_hosts)

    def needed(self, challenge: Challenge) -> AuthorizationNeeded:
        """What a caller gets at once, whom nobody could ask to log in."""
        if self.challenge != challenge:
            self.challenge = challenge
            self.changed(self)
        start = {"method": "POST", "path": "/api/mcp_server/start_oauth", "body": {"name": self.name}}
        scopes = f" with the scopes {challenge.scope}" if challenge.error == INSUFFICIENT_SCOPE else ""
        return AuthorizationNeeded(
            f"The MCP server {self.name} needs a login{scopes}: POST /api/mcp_server/start_oauth with "
            f'{{"name": "{self.name}"}} starts it',
            name=self.name,
            start=start,
        )

    def shown(self) -> Shown | None:
        credential, challenge = self.credential, self.challenge
        if not (credential or challenge or self.is_pending or self.last_error):
            return None
        tokens = credential.tokens if credential else None
        expires_at = tokens.expires_at if tokens else None
        return Shown(
            state="authorizing" if self.is_pending else "authorized" if credential else "needed",
            issuer=credential.issuer if credential else None,
            scopes=((tokens.scope or "") if tokens else "").split(),
            needed_scopes=(challenge.scope or "").split() if challenge else [],
            expires_at=None if expires_at is None else timestamp.from_seconds(expires_at),
            can_refresh=tokens is not None and tokens.refresh_token is not None,
            last_error=self.last_error,
        )

    def _for(self, url: str) -> Credential | None:
        """A login is for one URL."""
        credential = self.credential
        return credential if credential is not None and credential.server_url == url else None

    def _step_up(self, credential: Credential | None, challenge: Challenge) -> None:
        """Once: a server that was asked for these scopes and still wants them will want them for ever."""
        wanted = set((challenge.scope or "").split())
        if credential is not None and wanted <= set((credential.asked or "").split()):
            raise UpstreamError(
                f"The MCP server {self.name} refuses this with the login it has, and a new one with the same "
                "scopes would not help",
                name=self.name,
                scopes=sorted(wanted),
            )
        raise self.needed(challenge)

    def _is_due(self, tokens: Tokens) -> bool:
        if tokens.expires_at is None:
            return False
        margin = min(MARGIN, (tokens.lifetime or 0) / 10)
        return self.clock() >= tokens.expires_at - margin

    async def _renew(self, stale: Credential, challenge: Challenge | None = None) -> Credential:
        """Whoever comes meanwhile waits for the same answer; a caller who leaves does not end it, since a
        refresh token that was used and not replaced is lost."""
        if self.credential is not stale:
            if self.credential is None:
                raise self.needed(challenge or Challenge())
            return self.credential
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._refresh(stale, challenge))
            self._renewing.add_done_callback(self._has_renewed)
        return await asyncio.shield(self._renewing)

    def _has_renewed(self, task: asyncio.Task[Credential]) -> None:
        self._renewing = None
        if not task.cancelled():
            task.exception()  # those who waited have it

    async def _refresh(self, stale: Credential, challenge: Challenge | None) -> Credential:
        """`challenge` is there when the token was refused, however long it should have lived."""
        held = stale.tokens
        is_over = challenge is not None or (held.expires_at is not None and self.clock() >= held.expires_at)
        if held.refresh_token is None:
            if not is_over:
                return stale
            raise await self._lost(stale, challenge, CREDENTIAL)
        try:
            async with open_fetcher(self.limits(stale.server_url), self.config.timeout) as fetcher:
                tokens = await grant.refresh(
                    fetcher,
                    stale.token_endpoint,
                    stale.client,
                    held.refresh_token,
                    stale.resource,
                    self.clock(),
                )
        except GrantRefused as error:
            self.last_error = error.message
            kinds = (CREDENTIAL, CLIENT) if error.error == "invalid_client" else (CREDENTIAL,)
            raise await self._lost(stale, challenge, *kinds) from error
        except GatewayError as error:
            if not is_over:
                return stale
            raise UpstreamError(
                f"The login at {self.name} could not be renewed: {error.message}", name=self.name
            ) from error
        renewed = attrs.evolve(stale, tokens=attrs.evolve(tokens, scope=tokens.scope or held.scope))
        if self.credential is not stale or not await self.credentials.save(self.name, renewed, stale):
            raise self.needed(challenge or Challenge())  # logged out meanwhile
        self.credential = renewed
        self.changed(self)
        return renewed

    async def _revoke(self, credential: Credential) -> None:
        endpoint = credential.revocation_endpoint
        if endpoint is None:
            return
        try:
            async with open_fetcher(self.limits(credential.server_url), self.config.timeout) as fetcher:
                await grant.revoke(fetcher, endpoint, credential.client, credential.tokens)
        except GatewayError as error:
            log.warning("The login at %s could not be revoked: %s", self.name, error.message)

    async def _lost(self, stale: Credential, challenge: Challenge | None, *kinds: str) -> AuthorizationNeeded:
        if self.credential is stale:
            self.credential = None
            if CLIENT in kinds:
                self.client = None
            await self.credentials.drop(self.name, *kinds)
        return self.needed(challenge or Challenge())

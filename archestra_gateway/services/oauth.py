"""Logins at remote MCP servers: started by a person, finished by a redirect, kept in the vault."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs

from archestra_gateway import timestamp
from archestra_gateway.config import OAuthConfig
from archestra_gateway.errors import Conflict, GatewayError, RateLimited
from archestra_gateway.oauth import client as clients
from archestra_gateway.oauth.challenge import INSUFFICIENT_SCOPE, Challenge, parse, union
from archestra_gateway.oauth.discovery import Discovered, discover
from archestra_gateway.oauth.fetch import Fetcher, open_fetcher
from archestra_gateway.protocol import mcp
from archestra_gateway.schemas.mcp_server import HttpConfig
from archestra_gateway.schemas.oauth import StartedOAuth
from archestra_gateway.services.event import Events
from archestra_gateway.services.oauth_account import Account
from archestra_gateway.services.oauth_credential import Credentials
from archestra_gateway.services.oauth_flow import Flow
from archestra_gateway.services.vault import Unreadable
from archestra_gateway.upstreams.server import Server

log = logging.getLogger(__name__)

MOST_FLOWS = 32
PROBE = {"jsonrpc": "2.0", "id": 0, "method": mcp.INITIALIZE, "params": mcp.INITIALIZE_PARAMS}


@attrs.frozen
class Finished:
    """What the page after the redirect says; `server` is None where no login was known."""

    server: str | None
    problem: str | None


@attrs.define(eq=False)
class OAuth:
    """Opened by `open_oauth`. `clock` is time.time, except where the future is tested."""

    _credentials: Credentials
    _config: OAuthConfig
    _events: Events
    _redirect_uri: str
    clock: Callable[[], float] = time.time
    _accounts: dict[str, Account] = attrs.field(factory=dict)
    _flows: dict[str, Flow] = attrs.field(factory=dict)
    _tasks: set[asyncio.Task[Any]] = attrs.field(factory=set)

    def account(self, name: str) -> Account:
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = Account(
                name, self._credentials, self._config, lambda: self.clock(), self._changed, self._run
            )
        return account

    async def load(self, names: Iterable[str]) -> None:
        """A login that can not be read is none; the server says so when it is called."""
        for name in names:
            account = self.account(name)
            try:
                account.credential, account.client = await self._credentials.load(name)
            except Unreadable as error:
                account.last_error = error.message
                log.warning("%s", error.message)

    async def start(self, server: Server) -> StartedOAuth:
        """Where the person logs in. A login that was started before is given up."""
        config = _remote(server)
        self._expire()
        if len(self._flows) >= MOST_FLOWS and not self._of(server.name):
            raise RateLimited(f"{MOST_FLOWS} logins wait for somebody; finish one, or wait until they expire")
        account = self.account(server.name)
        epoch = account.epoch
        async with open_fetcher(account.limits(config.url), self._config.timeout) as fetcher:
            challenge = account.challenge or await self._probe(fetcher, server)
            found = await discover(fetcher, config.url, challenge)
            client = await self._client(fetcher, account, found, config)
        flow = Flow(
            server,
            config.url,
            account,
            epoch,
            found,
            client,
            _scope(account, challenge, found, config),
            self.clock() + self._config.login_timeout,
        )
        self._begin(flow)
        return StartedOAuth(auth_url=flow.url, expires_at=timestamp.from_seconds(flow.expires_at))

    async def finish(self, query: Mapping[str, str]) -> Finished:
        """What the redirect brought, seen through though the browser closes."""
        flow = self._take(query.get("state", ""))
        if flow is None:
            return Finished(None, "This login is unknown, was used already or has expired. Start it again.")
        return await asyncio.shield(self._run(self._complete(flow, query)))

    async def log_out(self, server: Server) -> None:
        """Without a login it gives up one that is on its way."""
        _remote(server)
        self._give_up(server.name)
        if await self.account(server.name).log_out():
            await server.stop()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _probe(self, fetcher: Fetcher, server: Server) -> Challenge:
        config = await server.prepare(server.config)
        headers = {
            **(config.headers if isinstance(config, HttpConfig) else {}),
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
        }
        answer = await fetcher.head_of_post(server.config.url, "MCP server", PROBE, headers)  # type: ignore[union-attr]
        return parse(answer.challenges)

    async def _client(
        self, fetcher: Fetcher, account: Account, found: Discovered, config: HttpConfig
    ) -> clients.Client:
        """Registered by hand, by a document, before, or now: in this order."""
        uri, by_hand, document = self._redirect_uri, config.oauth, self._config.client_metadata_url
        if by_hand is not None and by_hand.client_id is not None:
            return clients.registered_by_hand(found.server, by_hand.client_id, by_hand.client_secret, uri)
        if document and found.server.takes_metadata_document:
            return clients.by_document(found.server, document, uri)
        known = account.client
        if (
            known is not None
            and account.is_client_proven
            and known.is_for(found.server.issuer, uri, self.clock())
        ):
            return known
        account.client = await clients.register(fetcher, found.server, uri)
        await self._credentials.save_client(account.name, account.client)
        return account.client

    def _begin(self, flow: Flow) -> None:
        if flow.epoch != flow.account.epoch:
            raise Conflict("The MCP server was removed or changed meanwhile", name=flow.server.name)
        self._give_up(flow.server.name)
        self._flows[flow.state] = flow
        flow.account.is_pending = True
        flow.account.is_client_proven = False
        flow.account.last_error = None
        asyncio.get_running_loop().call_later(self._config.login_timeout, self._expire)
        self._changed(flow.account)

    async def _complete(self, flow: Flow, query: Mapping[str, str]) -> Finished:
        name = flow.server.name
        try:
            code = flow.code(query)
            async with open_fetcher(flow.account.limits(flow.server_url), self._config.timeout) as fetcher:
                credential = await flow.credential(fetcher, code, self.clock())
            if not await flow.account.adopt(credential, flow.epoch):
                raise Conflict(f"The MCP server {name} was removed or changed meanwhile")
            self._run(self._use(flow.server))
        except GatewayError as error:
            flow.account.last_error = error.message
            return Finished(name, error.message)
        finally:
            self._changed(flow.account)
        return Finished(name, None)

    async def _use(self, server: Server) -> None:
        """Whoever logged in wants to see that it works."""
        with contextlib.suppress(GatewayError):  # the status shows it
            if server.is_enabled:
                await server.start()

    def _take(self, state: str) -> Flow | None:
        """A state is good once."""
        self._expire()
        flow = self._flows.pop(state, None)
        if flow is not None:
            flow.account.is_pending = False
        return flow

    def _of(self, name: str) -> list[Flow]:
        return [flow for flow in self._flows.values() if flow.server.name == name]

    def _give_up(self, name: str) -> None:
        for flow in self._of(name):
            del self._flows[flow.state]
            flow.account.is_pending = False

    def _expire(self) -> None:
        now = self.clock()
        for flow in [flow for flow in self._flows.values() if now >= flow.expires_at]:
            del self._flows[flow.state]
            flow.account.is_pending = False
            flow.account.last_error = "Nobody finished the login in time"
            self._changed(flow.account)

    def _changed(self, account: Account) -> None:
        shown = account.shown()
        self._events.publish(
            "mcp_server.authorization", name=account.name, authorization=shown and attrs.asdict(shown)
        )

    def _run(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _remote(server: Server) -> HttpConfig:
    if not isinstance(server.config, HttpConfig):
        raise Conflict(f"The MCP server {server.name} runs on this machine and has no login")
    return server.config


def _scope(account: Account, challenge: Challenge, found: Discovered, config: HttpConfig) -> str | None:
    """As configured, else as the server asked for, else as it lists; step-up adds to what there was."""
    configured = " ".join(config.oauth.scopes or ()) if config.oauth else None
    scope = configured or challenge.scope or found.scope
    if challenge.error == INSUFFICIENT_SCOPE and account.credential is not None:
        scope = union(account.credential.asked, account.credential.tokens.scope, scope, challenge.scope)
    if scope and "offline_access" in found.server.scopes:
        scope = union(scope, "offline_access")
    return scope or None


@asynccontextmanager
async def open_oauth(
    credentials: Credentials, config: OAuthConfig, events: Events, redirect_uri: str
) -> AsyncIterator[OAuth]:
    oauth = OAuth(credentials, config, events, redirect_uri)
    try:
        yield oauth
    finally:
        await oauth.close()

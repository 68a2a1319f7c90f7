"""The composition root, which alone knows everybody: what is opened here is closed here, in reverse order."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from pathlib import Path

from aiohttp import web

from archestra_gateway import __version__, keys, openapi, router
from archestra_gateway.client_configs.backups import Backups
from archestra_gateway.client_configs.machine import this_machine
from archestra_gateway.config import Config
from archestra_gateway.log import Redactor
from archestra_gateway.packages.installer import PackageInstaller
from archestra_gateway.packages.step import Workshop
from archestra_gateway.packages.tools import Tools
from archestra_gateway.providers.embedded import DEMONSTRATION, EMBEDDED
from archestra_gateway.sandbox.command import Launch
from archestra_gateway.sandbox.confine import Sandbox
from archestra_gateway.sandbox.grants import Place
from archestra_gateway.sandbox.part import Part, launch_part, unconfined
from archestra_gateway.schemas.permissions import Endpoint
from archestra_gateway.services.agent import open_agent
from archestra_gateway.services.agent_model import Models
from archestra_gateway.services.agent_tool import Toolbox
from archestra_gateway.services.catalog import Catalog
from archestra_gateway.services.catalog_bundle import Bundles
from archestra_gateway.services.catalog_install import Installer
from archestra_gateway.services.catalog_registry import open_registry_cache
from archestra_gateway.services.catalog_source import Sources
from archestra_gateway.services.chat import Chats
from archestra_gateway.services.event import Events
from archestra_gateway.services.external_mcp_client import ExternalMcpClients
from archestra_gateway.services.external_mcp_client_file import ClientFiles
from archestra_gateway.services.external_mcp_client_known import KnownClients
from archestra_gateway.services.external_mcp_client_target import Gateway, bridge_program
from archestra_gateway.services.install import Installs, open_installs
from archestra_gateway.services.llm import Llm
from archestra_gateway.services.llm_provider import OLLAMA, LlmProviders
from archestra_gateway.services.mcp_catalogue import open_catalogue
from archestra_gateway.services.mcp_context import Contexts
from archestra_gateway.services.mcp_gateway import open_mcp_gateway
from archestra_gateway.services.mcp_gateway_methods import Methods
from archestra_gateway.services.mcp_gateway_sessions import Sessions
from archestra_gateway.services.mcp_gateway_views import Views
from archestra_gateway.services.mcp_own import Own
from archestra_gateway.services.mcp_own_news import OwnNews
from archestra_gateway.services.mcp_proxy import McpProxy
from archestra_gateway.services.mcp_proxy_modern import ModernProxy
from archestra_gateway.services.mcp_request_log import RequestLog
from archestra_gateway.services.mcp_rounds import Rounds, open_rounds
from archestra_gateway.services.mcp_server import McpServers
from archestra_gateway.services.mcp_server_install import McpServerInstalls
from archestra_gateway.services.mcp_server_tools import McpServerTools
from archestra_gateway.services.mcp_tool_pin import ToolPins
from archestra_gateway.services.oauth import open_oauth
from archestra_gateway.services.oauth_credential import Credentials
from archestra_gateway.services.plain_secrets import seal_plain_secrets
from archestra_gateway.services.secret import Secrets
from archestra_gateway.services.status import StatusReport
from archestra_gateway.services.token import limited_token, load_token
from archestra_gateway.services.vault import open_vault
from archestra_gateway.store.database import open_database
from archestra_gateway.upstreams.embedded import Embedded
from archestra_gateway.upstreams.http_client import HttpClient
from archestra_gateway.upstreams.ollama import Ollama
from archestra_gateway.upstreams.pool import Pool, open_pool
from archestra_gateway.web import cors, envelope, guard, route
from archestra_gateway.web.decision import needs_token

ENVIRONMENT: web.AppKey[Mapping[str, str]] = web.AppKey("ENVIRONMENT")
ROUNDS = web.AppKey("ROUNDS", Rounds)
CONFIG_FILE: web.AppKey[Path | None] = web.AppKey("CONFIG_FILE")


def create_app(
    config: Config, environment: Mapping[str, str], config_file: Path | None = None
) -> web.Application:
    """Everything but the listening sockets. `environment` and `config_file` are those of the daemon."""
    app = web.Application(middlewares=[envelope.errors, guard.guard])
    app[keys.CONFIG] = config
    app[ENVIRONMENT] = environment
    app[CONFIG_FILE] = config_file
    app[keys.REDACTOR] = Redactor()
    app[keys.STOPPING] = asyncio.Event()
    app[keys.EVENTS] = Events()
    app[keys.OPENAPI] = lambda: _openapi(config.server.url)
    route.install(app, router.ROUTES)
    guard.install(app)
    cors.install(app)
    app.on_shutdown.append(_end_streams)
    app.cleanup_ctx.extend(
        [
            _token,
            _database,
            _vault,
            _request_log,
            _oauth,
            _mcp,
            _mcp_gateway,
            _clients,
            _catalog,
            _llm,
            _agent,
        ]
    )
    return app


@cache
def _openapi(base_url: str) -> bytes:
    return openapi.encoded(router.ROUTES, __version__, base_url)


async def _end_streams(app: web.Application) -> None:
    await app[keys.AGENT].close()
    app[keys.STOPPING].set()
    app[keys.LLM].stop()
    app[keys.MCP_GATEWAY].stop()
    app[keys.MCP_PROXY].stop()


@asynccontextmanager
async def _token(app: web.Application) -> AsyncIterator[None]:
    token = app[keys.TOKEN] = load_token(app[keys.CONFIG].server.data_dir)
    app[keys.REDACTOR].replace("token", [token, limited_token(token)])
    yield


@asynccontextmanager
async def _database(app: web.Application) -> AsyncIterator[None]:
    config = app[keys.CONFIG]
    async with open_database(config.server.data_dir / "gateway.db") as database:
        app[keys.DATABASE] = database
        app[keys.STATUS] = StatusReport(config, database)
        yield


@asynccontextmanager
async def _vault(app: web.Application) -> AsyncIterator[None]:
    config, database = app[keys.CONFIG], app[keys.DATABASE]
    vault = app[keys.VAULT] = await open_vault(config.server.data_dir, config.security.secrets_key)
    await seal_plain_secrets(database, vault)
    app[keys.SECRETS] = await Secrets.load(database, vault, app[keys.REDACTOR])
    app[keys.KNOWN_CLIENTS] = await KnownClients.load(database, vault, app[keys.REDACTOR])
    app[keys.STATUS].sections["secrets"] = lambda: {"key": vault.place}
    yield


@asynccontextmanager
async def _request_log(app: web.Application) -> AsyncIterator[None]:
    log = RequestLog(app[keys.DATABASE], app[keys.REDACTOR], app[keys.CONFIG].request_log)
    app[keys.REQUEST_LOG] = log
    app[keys.STATUS].sections["request_log"] = log.counters
    async with log.running():
        yield


@asynccontextmanager
async def _oauth(app: web.Application) -> AsyncIterator[None]:
    config = app[keys.CONFIG]
    credentials = Credentials(app[keys.DATABASE], app[keys.VAULT], app[keys.REDACTOR])
    redirect_uri = f"{config.server.url}/oauth/callback"
    async with open_oauth(credentials, config.oauth, app[keys.EVENTS], redirect_uri) as app[keys.OAUTH]:
        yield


@asynccontextmanager
async def _mcp(app: web.Application) -> AsyncIterator[None]:
    config, redactor = app[keys.CONFIG], app[keys.REDACTOR]
    sandbox = Sandbox(Place(config.server.data_dir), config.server.port, config.mcp.allow_root)
    async with open_pool(config.mcp, app[ENVIRONMENT], redactor.text, sandbox) as pool:
        app[keys.POOL] = pool
        pool.authorize = app[keys.OAUTH].account
        app[keys.STATUS].sections["sandbox"] = sandbox.describe
        files = config.server.data_dir / "files"
        async with _installs(app, pool) as installs:
            servers = app[keys.MCP_SERVERS] = await McpServers.load(
                app[keys.DATABASE], app[keys.VAULT], app[keys.SECRETS], redactor, pool, installs, files
            )
            pins = app[keys.TOOL_PINS] = await ToolPins.load(app[keys.DATABASE], servers, app[keys.EVENTS])
            app[keys.STATUS].sections["tools"] = pins.counts
            app[keys.MCP_SERVER_INSTALLS] = McpServerInstalls(servers, installs, pool)
            await app[keys.OAUTH].load([server.name for server in servers.list_all()])
            async with open_rounds() as app[ROUNDS]:
                modern = ModernProxy(app[ROUNDS])
                app[keys.MCP_PROXY] = McpProxy(servers, app[keys.KNOWN_CLIENTS], modern)
                yield


def _installs(app: web.Application, pool: Pool) -> AbstractAsyncContextManager[Installs]:
    config = app[keys.CONFIG]
    workshop = Workshop(
        pool.sandbox,
        pool.path,
        pool.path_for,
        pool.environment,
        pool.watchdog,
        frozenset(map(Endpoint.parse, config.install.hosts)),
        config.install.timeout,
    )
    tools = Tools(config.server.data_dir / "tools", config.install.private_tools)
    installer = PackageInstaller(workshop, tools)
    patience = config.mcp.start_timeout
    return open_installs(app[keys.DATABASE], installer, app[keys.REDACTOR], app[keys.EVENTS], patience)


@asynccontextmanager
async def _mcp_gateway(app: web.Application) -> AsyncIterator[None]:
    config, database, servers = app[keys.CONFIG].mcp, app[keys.DATABASE], app[keys.MCP_SERVERS]
    news = OwnNews()
    own = Own(servers, app[keys.REQUEST_LOG], Contexts(database), news)
    app[keys.REQUEST_LOG].listeners.append(news.recorded)
    async with open_catalogue(database, servers, config.list_timeout) as catalogue:
        app[keys.CATALOGUE] = catalogue
        is_plain = config.tool_names == "plain"
        app[keys.MCP_SERVER_TOOLS] = McpServerTools(catalogue, app[keys.REQUEST_LOG], is_plain)
        views, is_progressive = Views(catalogue, is_plain), config.tool_list == "progressive"
        methods = Methods(catalogue, own, views, app[ROUNDS], is_progressive)
        sessions = Sessions(database, config.max_sessions, config.idle_timeout)
        async with open_mcp_gateway(catalogue, methods, sessions, app[keys.KNOWN_CLIENTS], news) as gateway:
            app[keys.MCP_GATEWAY] = gateway
            app[keys.STATUS].sections["mcp"] = gateway.counts
            yield


@asynccontextmanager
async def _clients(app: web.Application) -> AsyncIterator[None]:
    config, redactor, servers = app[keys.CONFIG], app[keys.REDACTOR], app[keys.MCP_SERVERS]
    url, backups = config.server.url, Backups(config.server.data_dir / "clients")
    known, program = app[keys.KNOWN_CLIENTS], bridge_program(config.server.data_dir, app[CONFIG_FILE])
    clients = app[keys.EXTERNAL_MCP_CLIENTS] = ExternalMcpClients(
        known,
        app[keys.DATABASE],
        servers,
        Gateway(url, needs_token(config), program),
        backups,
        this_machine(app[ENVIRONMENT]),
        app[keys.POOL].path,
    )
    app[keys.CLIENT_FILES] = ClientFiles(known, clients, servers, backups, redactor, url, needs_token(config))
    servers.watch(clients.refresh)
    async with clients.running():
        yield


@asynccontextmanager
async def _catalog(app: web.Application) -> AsyncIterator[None]:
    config, database = app[keys.CONFIG], app[keys.DATABASE]
    registry = open_registry_cache(config.catalog.registry_url, config.catalog.refresh_interval, database)
    async with registry as cache:
        catalog = app[keys.CATALOG] = Catalog(database, cache)
        home = app[ENVIRONMENT].get("HOME") or str(Path.home())
        bundles = app[keys.BUNDLES] = Bundles(config.server.data_dir, home)
        sources = Sources(app[keys.CLIENT_FILES])
        app[keys.INSTALLER] = Installer(catalog, sources, bundles, app[keys.MCP_SERVERS], app[keys.SECRETS])
        yield


@asynccontextmanager
async def _llm(app: web.Application) -> AsyncIterator[None]:
    config = app[keys.CONFIG]
    url = config.llm.ollama.url
    kind = EMBEDDED if config.llm.embedded.model_path else DEMONSTRATION
    providers = await LlmProviders.load(app[keys.DATABASE], app[keys.VAULT], app[keys.REDACTOR], url, kind)
    app[keys.LLM_PROVIDERS] = providers
    http = HttpClient(config.llm.connect_timeout, config.llm.read_timeout)
    pool = app[keys.POOL]
    ollama = Ollama(
        providers.get(OLLAMA).origin,
        pool.path,
        app[ENVIRONMENT],
        pool.watchdog,
        config.server.data_dir / "ollama.log",
    )
    settings, environment = config.llm.embedded, app[ENVIRONMENT]

    async def launch(part: Part) -> Launch:
        if not settings.sandbox:
            return unconfined(part, environment)
        return await launch_part(part, pool.sandbox, await pool.path_for(part.command[0]), environment)

    log = config.server.data_dir / "embedded.log"
    embedded = Embedded(config.embedded_model, settings, launch, pool.watchdog, http, log)
    app[keys.STATUS].sections["embedded"] = embedded.describe
    startable = ollama if config.llm.ollama.autostart else None
    app[keys.LLM] = Llm(providers, http, startable, app[keys.TOKEN], embedded)
    try:
        yield
    finally:
        http.close()
        await ollama.stop()
        await embedded.stop()


@asynccontextmanager
async def _agent(app: web.Application) -> AsyncIterator[None]:
    config = app[keys.CONFIG].agent
    models = Models(app[keys.LLM], app[keys.LLM_PROVIDERS], app[keys.REDACTOR], config)
    toolbox = Toolbox(app[keys.MCP_SERVERS], app[keys.CATALOGUE], config)
    app[keys.CHATS] = Chats(app[keys.DATABASE])
    async with open_agent(app[keys.DATABASE], config, app[keys.REQUEST_LOG], models, toolbox) as agent:
        app[keys.AGENT] = agent
        app[keys.STATUS].sections["agent"] = agent.counts
        yield

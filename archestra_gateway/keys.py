"""Every web.AppKey and web.RequestKey."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from archestra_gateway.config import Config
from archestra_gateway.log import Redactor
from archestra_gateway.services.agent import Agent
from archestra_gateway.services.catalog import Catalog
from archestra_gateway.services.catalog_bundle import Bundles
from archestra_gateway.services.catalog_install import Installer
from archestra_gateway.services.chat import Chats
from archestra_gateway.services.event import Events
from archestra_gateway.services.external_mcp_client import ExternalMcpClients
from archestra_gateway.services.external_mcp_client_file import ClientFiles
from archestra_gateway.services.external_mcp_client_known import KnownClients
from archestra_gateway.services.llm import Llm
from archestra_gateway.services.llm_provider import LlmProviders
from archestra_gateway.services.mcp_catalogue import Catalogue
from archestra_gateway.services.mcp_gateway import McpGateway
from archestra_gateway.services.mcp_proxy import McpProxy
from archestra_gateway.services.mcp_request_log import RequestLog
from archestra_gateway.services.mcp_server import McpServers
from archestra_gateway.services.mcp_server_install import McpServerInstalls
from archestra_gateway.services.mcp_server_tools import McpServerTools
from archestra_gateway.services.mcp_tool_pin import ToolPins
from archestra_gateway.services.oauth import OAuth
from archestra_gateway.services.secret import Secrets
from archestra_gateway.services.status import StatusReport
from archestra_gateway.services.vault import Vault
from archestra_gateway.store.database import Database
from archestra_gateway.upstreams.pool import Pool

CONFIG = web.AppKey("CONFIG", Config)
TOKEN = web.AppKey("TOKEN", str)
REDACTOR = web.AppKey("REDACTOR", Redactor)
STOPPING = web.AppKey("STOPPING", asyncio.Event)
OPENAPI: web.AppKey[Callable[[], bytes]] = web.AppKey("OPENAPI")
"""The encoded document; made when it is first asked for."""
DATABASE = web.AppKey("DATABASE", Database)
POOL = web.AppKey("POOL", Pool)
VAULT = web.AppKey("VAULT", Vault)
KNOWN_CLIENTS = web.AppKey("KNOWN_CLIENTS", KnownClients)
SECRETS = web.AppKey("SECRETS", Secrets)
EVENTS = web.AppKey("EVENTS", Events)
OAUTH = web.AppKey("OAUTH", OAuth)
STATUS = web.AppKey("STATUS", StatusReport)
REQUEST_LOG = web.AppKey("REQUEST_LOG", RequestLog)
MCP_SERVERS = web.AppKey("MCP_SERVERS", McpServers)
CATALOGUE = web.AppKey("CATALOGUE", Catalogue)
MCP_SERVER_INSTALLS = web.AppKey("MCP_SERVER_INSTALLS", McpServerInstalls)
MCP_PROXY = web.AppKey("MCP_PROXY", McpProxy)
MCP_SERVER_TOOLS = web.AppKey("MCP_SERVER_TOOLS", McpServerTools)
TOOL_PINS = web.AppKey("TOOL_PINS", ToolPins)
MCP_GATEWAY = web.AppKey("MCP_GATEWAY", McpGateway)
EXTERNAL_MCP_CLIENTS = web.AppKey("EXTERNAL_MCP_CLIENTS", ExternalMcpClients)
CATALOG = web.AppKey("CATALOG", Catalog)
BUNDLES = web.AppKey("BUNDLES", Bundles)
INSTALLER = web.AppKey("INSTALLER", Installer)
CLIENT_FILES = web.AppKey("CLIENT_FILES", ClientFiles)
LLM = web.AppKey("LLM", Llm)
LLM_PROVIDERS = web.AppKey("LLM_PROVIDERS", LlmProviders)
AGENT = web.AppKey("AGENT", Agent)
CHATS = web.AppKey("CHATS", Chats)

REQUEST_ID = web.RequestKey("REQUEST_ID", str)

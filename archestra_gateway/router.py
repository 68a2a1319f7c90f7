"""The whole HTTP surface as one table; the router, the guard and the OpenAPI document read the same rows."""

from archestra_gateway.handlers import (
    docs,
    llm,
    llm_provider,
    mcp_proxy,
    mcp_request_log,
    mcp_server,
    status,
)
from archestra_gateway.schemas.llm_provider import CreateLlmProvider, LlmProvider, UpdateLlmProvider
from archestra_gateway.schemas.mcp_request_log import (
    Cleared,
    ClearLog,
    LogEntry,
    LogPage,
    LogQuery,
    LogStats,
    StatsQuery,
)
from archestra_gateway.schemas.mcp_server import (
    CreateMcpServer,
    FollowLogs,
    McpServer,
    ServerLogs,
    ServerTools,
    UpdateMcpServer,
)
from archestra_gateway.schemas.status import Health, Status
from archestra_gateway.web.route import Route

SERVER = "/api/mcp_server/{name}"
LOG = "/api/mcp_request_log"
PROXY = r"/mcp_proxy/{server:[A-Za-z0-9_-]{1,64}}"

ROUTES: tuple[Route, ...] = (
    Route("GET", "/healthz", status.health, "status.health", gives=Health),
    Route("GET", "/readyz", status.ready, "status.ready", gives=Health),
    Route("GET", "/api/status", status.get, "status.get", gives=Status),
    #
    Route("GET", "/api/mcp_server", mcp_server.list_all, "mcp_server.list", gives=list[McpServer]),
    Route("POST", "/api/mcp_server", mcp_server.create, "mcp_server.create",
          takes=CreateMcpServer, gives=McpServer, status=201, administration=True),
    Route("GET", SERVER, mcp_server.get, "mcp_server.get", gives=McpServer),
    Route("PUT", SERVER, mcp_server.update, "mcp_server.update",
          takes=UpdateMcpServer, gives=McpServer, administration=True),
    Route("DELETE", SERVER, mcp_server.delete, "mcp_server.delete", status=204, administration=True),
    #
    Route("GET", LOG, mcp_request_log.list_all, "mcp_request_log.list", query=LogQuery, gives=LogPage),
    Route("GET", f"{LOG}/stats", mcp_request_log.stats, "mcp_request_log.stats", query=StatsQuery, gives=LogStats),
    Route("GET", f"{LOG}/{{request_id}}", mcp_request_log.get, "mcp_request_log.get", gives=LogEntry),
    Route("DELETE", LOG, mcp_request_log.delete, "mcp_request_log.delete",
          query=ClearLog, gives=Cleared, administration=True),
    #
    Route("GET", "/api/openapi.json", docs.openapi, "docs.openapi"),
    Route("GET", "/api/docs", docs.page, "docs.page", media_type="text/html"),
    Route("GET", "/api/docs/{asset}", docs.asset, "docs.asset", media_type="*/*"),
)

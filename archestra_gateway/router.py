"""The whole HTTP surface as one table; the router, the guard and the OpenAPI document read the same rows."""

from archestra_gateway.handlers import (
    agent,
    agent_permission,
    chat,
    docs,
    external_mcp_client,
    llm,
    llm_provider,
    mcp_proxy,
    mcp_request_log,
    mcp_server,
    secret,
    status,
)
from archestra_gateway.schemas.agent import (
    CHAT_ID,
    AnswerApproval,
    Approval,
    ChatRequest,
    PermissionKey,
    SetPermission,
    Stopped,
    ToolPermission,
)
from archestra_gateway.schemas.chat import Chat, ChatPage, ChatQuery, ChatSummary, UpdateChat
from archestra_gateway.schemas.external_mcp_client import (
    BackupFile,
    ConnectExternalMcpClient,
    CreateExternalMcpClient,
    ExternalMcpClient,
    FoundMcpServer,
    ImportResult,
    ImportServers,
    Preview,
    PreviewExternalMcpClient,
    RestoreExternalMcpClient,
    SupportedClients,
    UpdateExternalMcpClient,
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
from archestra_gateway.schemas.secret import CreateSecret, RotatedKey, Secret, UpdateSecret
from archestra_gateway.schemas.status import Health, Status
from archestra_gateway.web.route import Route

SERVER = "/api/mcp_server/{name}"
PROVIDER = "/api/llm_provider/{name}"
LOG = "/api/mcp_request_log"
CLIENTS = "/api/external_mcp_client"
CLIENT = CLIENTS + "/{client_name}"
CHAT = f"/api/agent/chat/{{id:{CHAT_ID}}}"
SECRETS = "/api/secret"
SECRET = SECRETS + "/{name}"
PROXY = r"/mcp_proxy/{server:[A-Za-z0-9_-]{1,64}}"

# fmt: off
ROUTES: tuple[Route, ...] = (
    Route("GET", "/api/mcp_server", mcp_server.list_all, "mcp_server.list", "List the MCP servers",
          gives=list[McpServer]),
    Route("POST", "/api/mcp_server", mcp_server.create, "mcp_server.create", "Add an MCP server",
          takes=CreateMcpServer, gives=McpServer, status=201, administration=True),
    Route("GET", SERVER, mcp_server.get, "mcp_server.get", "Get one MCP server", gives=McpServer),
    Route("PUT", SERVER, mcp_server.update, "mcp_server.update", "Change an MCP server",
          takes=UpdateMcpServer, gives=McpServer, administration=True),
    Route("DELETE", SERVER, mcp_server.delete, "mcp_server.delete", "Stop and remove an MCP server",
          status=204, administration=True),
    Route("POST", f"{SERVER}/start", mcp_server.start, "mcp_server.start", "Start an MCP server",
          gives=McpServer, administration=True),
    Route("POST", f"{SERVER}/stop", mcp_server.stop, "mcp_server.stop", "Stop an MCP server",
          gives=McpServer, administration=True),
    Route("POST", f"{SERVER}/restart", mcp_server.restart, "mcp_server.restart", "Restart an MCP server",
          gives=McpServer, administration=True),
    Route("GET", f"{SERVER}/tools", mcp_server.tools, "mcp_server.tools", "List a server's tools",
          gives=ServerTools),
    Route("GET", f"{SERVER}/logs", mcp_server.logs, "mcp_server.logs", "Read what a server wrote to stderr",
          query=FollowLogs, gives=ServerLogs),
    #
    Route("GET", CLIENTS, external_mcp_client.list_all, "external_mcp_client.list",
          "List the MCP clients that were connected or added", gives=list[ExternalMcpClient]),
    Route("POST", CLIENTS, external_mcp_client.create, "external_mcp_client.create", "Add an MCP client",
          takes=CreateExternalMcpClient, gives=ExternalMcpClient, status=201, administration=True),
    Route("GET", f"{CLIENTS}/supported", external_mcp_client.supported, "external_mcp_client.supported",
          "List the MCP clients that the gateway knows", gives=SupportedClients),
    Route("POST", f"{CLIENTS}/connect", external_mcp_client.connect, "external_mcp_client.connect",
          "Write the gateway into a client's file, or repair what is there",
          takes=ConnectExternalMcpClient, gives=ExternalMcpClient, administration=True),
    Route("POST", f"{CLIENTS}/preview", external_mcp_client.preview, "external_mcp_client.preview",
          "Show what connecting or disconnecting would change",
          takes=PreviewExternalMcpClient, gives=Preview, administration=True),
    Route("GET", CLIENT, external_mcp_client.get, "external_mcp_client.get", "Get one MCP client",
          gives=ExternalMcpClient),
    Route("PUT", CLIENT, external_mcp_client.update, "external_mcp_client.update",
          "Change what a client gets, and where", takes=UpdateExternalMcpClient, gives=ExternalMcpClient,
          administration=True),
    Route("DELETE", CLIENT, external_mcp_client.delete, "external_mcp_client.delete",
          "Disconnect and forget an MCP client", status=204, administration=True),
    Route("DELETE", f"{CLIENT}/disconnect", external_mcp_client.disconnect, "external_mcp_client.disconnect",
          "Take out of a client's file what was written", status=204, administration=True),
    Route("GET", f"{CLIENT}/backups", external_mcp_client.backups, "external_mcp_client.backups",
          "List the backups of a client's file", gives=list[BackupFile]),
    Route("POST", f"{CLIENT}/restore", external_mcp_client.restore, "external_mcp_client.restore",
          "Bring a backup of a client's file back", takes=RestoreExternalMcpClient, gives=ExternalMcpClient,
          administration=True),
    Route("GET", f"{CLIENT}/servers", external_mcp_client.servers, "external_mcp_client.servers",
          "List the MCP servers in a client's file", gives=list[FoundMcpServer], administration=True),
    Route("POST", f"{CLIENT}/import", external_mcp_client.bring_in, "external_mcp_client.import_servers",
          "Bring servers of a client's file into the gateway", takes=ImportServers, gives=ImportResult,
          administration=True),
    #
    Route("GET", LOG, mcp_request_log.list_all, "mcp_request_log.list", "List MCP and LLM calls",
          query=LogQuery, gives=LogPage),
    Route("DELETE", LOG, mcp_request_log.delete, "mcp_request_log.delete", "Delete calls from the log",
          query=ClearLog, gives=Cleared, administration=True),
    Route("GET", f"{LOG}/stats", mcp_request_log.stats, "mcp_request_log.stats", "Count and time the calls",
          query=StatsQuery, gives=LogStats),
    Route("GET", LOG + "/{request_id}", mcp_request_log.get, "mcp_request_log.get", "Get one call whole",
          gives=LogEntry),
    #
    Route("GET", "/api/llm_provider", llm_provider.list_all, "llm_provider.list", "List the LLM providers",
          gives=list[LlmProvider]),
    Route("POST", "/api/llm_provider", llm_provider.create, "llm_provider.create", "Add an LLM provider",
          takes=CreateLlmProvider, gives=LlmProvider, status=201, administration=True),
    Route("GET", PROVIDER, llm_provider.get, "llm_provider.get", "Get one LLM provider", gives=LlmProvider),
    Route("PUT", PROVIDER, llm_provider.update, "llm_provider.update", "Change an LLM provider",
          takes=UpdateLlmProvider, gives=LlmProvider, administration=True),
    Route("DELETE", PROVIDER, llm_provider.delete, "llm_provider.delete", "Remove an LLM provider",
          status=204, administration=True),
    #
    Route("POST", "/api/agent/chat", agent.chat, "agent.chat", takes=ChatRequest,
          media_type="text/event-stream", carrier="chat"),
    Route("GET", f"{CHAT}/stream", agent.resume, "agent.resume", media_type="text/event-stream"),
    Route("POST", f"{CHAT}/stop", agent.stop, "agent.stop", "Stop the answer that is coming", gives=Stopped),
    Route("GET", f"{CHAT}/approval", agent.approvals, "agent.approvals",
          "List the tool calls that wait for a person", gives=list[Approval]),
    Route("POST", f"{CHAT}/approval/{{approval_id}}", agent.approve, "agent.approve",
          "Allow or deny a tool call", takes=AnswerApproval, gives=Approval, administration=True),
    Route("GET", "/api/agent/permission", agent_permission.list_all, "agent_permission.list",
          "List which tools are allowed, asked about or denied", gives=list[ToolPermission]),
    Route("PUT", "/api/agent/permission", agent_permission.set_one, "agent_permission.set",
          "Allow, ask about or deny a tool or a whole server", takes=SetPermission, gives=ToolPermission,
          administration=True),
    Route("DELETE", "/api/agent/permission", agent_permission.delete, "agent_permission.delete",
          "Forget what was said about a tool or a server", query=PermissionKey, status=204,
          administration=True),
    Route("GET", "/api/agent/chat", chat.list_all, "chat.list", "List and search the chats",
          query=ChatQuery, gives=ChatPage),
    Route("GET", CHAT, chat.get, "chat.get", "Read a chat", gives=Chat),
    Route("PUT", CHAT, chat.update, "chat.update", "Rename a chat", takes=UpdateChat, gives=ChatSummary),
    Route("DELETE", CHAT, chat.delete, "chat.delete", "Delete a chat", status=204, administration=True),
    #
    Route("GET", SECRETS, secret.list_all, "secret.list", "List the stored secrets by name",
          gives=list[Secret]),
    Route("POST", SECRETS, secret.create, "secret.create", "Store a secret", takes=CreateSecret, gives=Secret,
          status=201, administration=True),
    Route("POST", f"{SECRETS}/rotate_key", secret.rotate_key, "secret.rotate_key",
          "Seal everything that is stored with a new key", gives=RotatedKey, administration=True),
    Route("GET", SECRET, secret.get, "secret.get", "Get one secret without its value", gives=Secret),
    Route("PUT", SECRET, secret.update, "secret.update", "Change a secret's value", takes=UpdateSecret,
          gives=Secret, administration=True),
    Route("DELETE", SECRET, secret.delete, "secret.delete", "Forget a secret", status=204,
          administration=True),
    #
    Route("POST", PROXY, mcp_proxy.post, "mcp_proxy.post", "Send a message to an MCP server",
          carrier="jsonrpc"),
    Route("GET", PROXY, mcp_proxy.get, "mcp_proxy.get", "Listen to what a session's server says unasked",
          media_type="text/event-stream", carrier="jsonrpc"),
    Route("DELETE", PROXY, mcp_proxy.delete, "mcp_proxy.delete", "End a session",
          status=204, carrier="jsonrpc"),
    Route("*", "/llm/{provider}/{path:.*}", llm.relay, "llm.relay", "Pass a request on to an LLM provider",
          carrier="llm"),
    #
    Route("GET", "/healthz", status.health, "status.health", "Tell that the gateway runs", gives=Health),
    Route("GET", "/readyz", status.ready, "status.ready", "Tell that it can serve", gives=Health),
    Route("GET", "/api/status", status.get, "status.get", "Tell how the gateway is doing", gives=Status),
    Route("GET", "/api/openapi.json", docs.openapi, "docs.openapi"),
    Route("GET", "/api/docs", docs.page, "docs.page", media_type="text/html"),
    Route("GET", "/api/docs/{asset}", docs.asset, "docs.asset", media_type="*/*"),
)
# fmt: on

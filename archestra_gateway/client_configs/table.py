"""Every external MCP client that the gateway knows, in the order in which they are shown."""

from archestra_gateway.client_configs import clients_in_terminals as terminals
from archestra_gateway.client_configs import clients_with_windows as windows
from archestra_gateway.client_configs.client import Client, Snippet
from archestra_gateway.client_configs.shapes import URL

CLIENTS: tuple[Client, ...] = (
    windows.CLAUDE_DESKTOP,
    terminals.CLAUDE_CODE,
    windows.CURSOR,
    windows.VS_CODE,
    windows.WINDSURF,
    windows.ZED,
    terminals.GEMINI_CLI,
    terminals.CODEX_CLI,
    terminals.GOOSE,
    windows.LM_STUDIO,
    windows.CLINE,
    windows.CONTINUE,
    terminals.OPENCODE,
    windows.JUNIE,
    windows.KIRO,
    windows.WARP,
    terminals.COPILOT_CLI,
    terminals.QWEN_CODE,
    terminals.AUGMENT,
    windows.ANTIGRAVITY,
    terminals.KILO_CODE,
    windows.ROO_CODE,
    windows.AMP,
    terminals.FACTORY_DROID,
    windows.COPILOT_JETBRAINS,
    terminals.CRUSH,
    terminals.KIMI_CODE,
    terminals.GROK_BUILD,
)

SNIPPETS: tuple[Snippet, ...] = (
    Snippet(
        id="jetbrains-ai-assistant",
        title="JetBrains AI Assistant",
        where="Settings → Tools → AI Assistant → Model Context Protocol (MCP) → Add → As JSON",
        path=("mcpServers", "$name"),
        entry=URL,
    ),
    Snippet(
        id="chatgpt",
        title="ChatGPT",
        where="Settings → Apps & Connectors → Advanced settings → Developer mode → Create. ChatGPT connects "
        "from its own machines: the address must be one that can be reached from there",
        path=(),
        entry={"name": "$name", "url": "$url"},
    ),
    Snippet(
        id="cherry-studio",
        title="Cherry Studio",
        where="Settings → MCP Servers → Add → Import from JSON",
        path=("mcpServers", "$name"),
        entry={"type": "streamableHttp", "baseUrl": "$url", "headers": "$headers", "isActive": True},
    ),
)

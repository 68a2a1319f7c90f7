"""Every setting, frozen and typed. Nobody else reads the environment."""

from pathlib import Path
from typing import Any

import attrs
import platformdirs


def setting(default: Any, line: str) -> Any:
    """A field with its default and the line that explains it in config.example.toml and `config show`."""
    return attrs.field(default=default, metadata={"help": line})


@attrs.frozen
class ServerConfig:
    bind: tuple[str, ...] = setting(("127.0.0.1", "::1"), "Addresses to listen on.")
    port: int = setting(54587, "TCP port; 0 takes a free one.")
    base_url: str = setting("", 'The URL clients know; empty means "http://localhost:PORT".')
    data_dir: Path = setting(
        Path(platformdirs.user_data_dir("archestra-gateway", appauthor=False)),
        "Where the database, the token and the servers' homes live.",
    )
    header_timeout: float = setting(10.0, "Seconds within which a request's head must have come.")
    body_timeout: float = setting(30.0, "Seconds without a byte after which an unfinished body is cut.")
    max_body: int = setting(4 * 1024 * 1024, "Largest body of a REST request, in bytes.")
    shutdown_timeout: float = setting(5.0, "Seconds that running requests get at a stop.")


@attrs.frozen
class SecurityConfig:
    require_token: bool = setting(False, "Ask every request for the bearer token.")
    allowed_hosts: tuple[str, ...] = setting((), "More Host names (without port) that the gateway answers to.")
    allowed_origins: tuple[str, ...] = setting(
        ("http://localhost:1420",), "Web origins that may administer the gateway (the desktop shell is one by itself)."
    )


@attrs.frozen
class McpConfig:
    max_body: int = setting(64 * 1024 * 1024, "Largest JSON-RPC message from a client, in bytes.")
    max_message: int = setting(256 * 1024 * 1024, "Largest JSON-RPC message from a server, in bytes.")
    start_timeout: float = setting(30.0, "Seconds that a server has to start and answer `initialize`.")
    request_timeout: float = setting(60.0, "Seconds without an answer or progress after which a call fails.")
    max_request_timeout: float = setting(1800.0, "Seconds after which a call fails, progress or not.")
    keep_alive: float = setting(15.0, "Seconds between the comments that keep an idle stream open.")
    idle_timeout: float = setting(600.0, "Seconds without a call after which a child or a session is ended.")
    max_children: int = setting(32, "Child processes at once, over all servers.")
    max_sessions: int = setting(256, "MCP sessions at once, over all servers.")
    stderr_lines: int = setting(1000, "Lines of a server's stderr that are kept.")


@attrs.frozen
class OllamaConfig:
    url: str = setting("http://127.0.0.1:11434", "Where Ollama listens (OLLAMA_HOST is honoured when this is not set).")
    autostart: bool = setting(False, "Start `ollama serve` when it is not running, and stop it with the gateway.")


@attrs.frozen
class LlmConfig:
    max_body: int = setting(0, "Largest request body, in bytes; 0 means no limit (models are pushed through here).")
    connect_timeout: float = setting(10.0, "Seconds to connect to a provider.")
    read_timeout: float = setting(600.0, "Seconds without a byte from a provider.")
    ollama: OllamaConfig = attrs.field(factory=OllamaConfig)


@attrs.frozen
class RequestLogConfig:
    enabled: bool = setting(True, "Write MCP and LLM calls to the request log.")
    max_body: int = setting(64 * 1024, "Bytes of each body that are kept; 0 keeps none.")
    queue: int = setting(20_000, "Rows that may wait for the disk; what comes beyond is counted and dropped.")
    retention_days: int = setting(30, "Days that rows are kept; 0 means for ever.")


@attrs.frozen
class LogConfig:
    level: str = setting("info", "debug, info, warning or error.")
    format: str = setting("text", "text or json.")


@attrs.frozen
class Config:
    """The whole of it; sections are the tables of config.toml."""

    server: ServerConfig = attrs.field(factory=ServerConfig)
    security: SecurityConfig = attrs.field(factory=SecurityConfig)
    mcp: McpConfig = attrs.field(factory=McpConfig)
    llm: LlmConfig = attrs.field(factory=LlmConfig)
    request_log: RequestLogConfig = attrs.field(factory=RequestLogConfig)
    log: LogConfig = attrs.field(factory=LogConfig)

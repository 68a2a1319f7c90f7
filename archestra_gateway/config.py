"""Every setting, frozen and typed. Nobody else reads the environment."""

from pathlib import Path
from typing import Any

import attrs
import platformdirs

from archestra_gateway.config_check import (
    Check,
    at_least,
    between,
    each,
    is_absolute,
    is_endpoint,
    is_host,
    is_ip_address,
    is_origin,
    is_url,
    not_empty,
    one_of,
)

DATA_DIR = Path(platformdirs.user_data_dir("archestra-gateway", appauthor=False))
SECONDS = between(0, 366 * 24 * 3600)
BYTES = at_least(0)


def setting(default: Any, line: str, *checks: Check, shown: str | None = None) -> Any:
    """A field with its default, the line that explains it, and what its value must be.

    `shown` stands for a default that is not the same on every machine, in config.example.toml.
    """
    return attrs.field(default=default, metadata={"help": line, "shown": shown}, validator=list(checks))


@attrs.frozen
class ServerConfig:
    bind: tuple[str, ...] = setting(
        ("127.0.0.1", "::1"), "Addresses to listen on.", not_empty, each(is_ip_address)
    )
    port: int = setting(54587, "TCP port; 0 takes a free one.", between(0, 65535))
    base_url: str = setting(
        "",
        'The URL clients know; empty means "http://localhost:PORT". Its port becomes that of `port`.',
        is_url,
    )
    data_dir: Path = setting(  # noqa: RUF009 - a field, as everywhere here
        DATA_DIR,
        "Where the database, the token and the servers' homes live.",
        is_absolute,
        shown="~/.local/share/archestra-gateway",
    )
    header_timeout: float = setting(10.0, "Seconds within which a request's head must have come.", SECONDS)
    body_timeout: float = setting(
        30.0, "Seconds without a byte after which an unfinished body is cut.", SECONDS
    )
    max_body: int = setting(4 * 1024 * 1024, "Largest body of a REST request, in bytes.", BYTES)
    shutdown_timeout: float = setting(5.0, "Seconds that running requests get at a stop.", SECONDS)

    @property
    def url(self) -> str:
        """The URL clients know, without a slash at its end."""
        return self.base_url.rstrip("/") or f"http://localhost:{self.port}"

    @property
    def demonstration_model(self) -> Path:
        """Where `archestra-gateway embedded install` puts it."""
        return self.data_dir / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"


@attrs.frozen
class SecurityConfig:
    require_token: bool = setting(False, "Ask every request for the bearer token.")
    allowed_hosts: tuple[str, ...] = setting(
        (), "More Host names (without port) that the gateway answers to.", each(is_host)
    )
    allowed_origins: tuple[str, ...] = setting(
        ("http://localhost:1420",),
        "Web origins that may administer the gateway (the desktop shell is one by itself).",
        each(is_origin),
    )
    secrets_key: str = setting(
        "auto",
        "Where the key of the stored secrets lies: keyring (the system's), file (in data_dir), or auto "
        "(the keyring where there is one). `archestra-gateway secrets rotate-key` moves it.",
        one_of("auto", "keyring", "file"),
    )


@attrs.frozen
class McpConfig:
    max_body: int = setting(64 * 1024 * 1024, "Largest JSON-RPC message from a client, in bytes.", BYTES)
    max_message: int = setting(256 * 1024 * 1024, "Largest JSON-RPC message from a server, in bytes.", BYTES)
    start_timeout: float = setting(
        30.0, "Seconds that a server has to start and answer `initialize`.", SECONDS
    )
    request_timeout: float = setting(
        60.0, "Seconds without an answer or progress after which a call fails.", SECONDS
    )
    max_request_timeout: float = setting(
        1800.0, "Seconds after which a call fails, progress or not.", SECONDS
    )
    input_timeout: float = setting(
        600.0,
        "Seconds that a call of a client without a session waits for what its server asked the client for.",
        SECONDS,
    )
    keep_alive: float = setting(15.0, "Seconds between the comments that keep an idle stream open.", SECONDS)
    idle_timeout: float = setting(
        600.0, "Seconds without a call after which a child or a session is ended.", SECONDS
    )
    max_children: int = setting(32, "Child processes at once, over all servers.", at_least(1))
    max_sessions: int = setting(256, "MCP sessions at once, over all servers.", at_least(1))
    tool_list: str = setting(
        "all",
        '"all" lists every tool on /mcp; "progressive" lists search_tools and call_tool instead of them.',
        one_of("all", "progressive"),
    )
    tool_names: str = setting(
        "prefixed",
        'Names on /mcp: "prefixed" is server__tool; "plain" leaves out the server where that is unambiguous.',
        one_of("prefixed", "plain"),
    )
    list_timeout: float = setting(
        5.0, "Seconds that a list on /mcp waits for servers whose tools are not known yet.", SECONDS
    )
    allow_root: bool = setting(
        False, "Below a gateway that runs as root, let servers whose sandbox is off be root, too."
    )
    stderr_lines: int = setting(1000, "Lines of a server's stderr that are kept.", at_least(1))


@attrs.frozen
class CatalogConfig:
    registry_url: str = setting(
        "https://registry.modelcontextprotocol.io",
        "The public MCP registry, asked when somebody looks into the catalog; empty means none.",
        is_url,
    )
    refresh_interval: float = setting(
        21600.0, "Seconds after which what is cached of the registry is looked up again.", SECONDS
    )
    max_bundle: int = setting(
        256 * 1024 * 1024, "Largest .mcpb bundle that may be uploaded, in bytes.", at_least(1)
    )


@attrs.frozen
class InstallConfig:
    hosts: tuple[str, ...] = setting(
        (),
        "More hosts (host:port) that an installation may reach, such as where a registry keeps its files.",
        each(is_endpoint),
    )
    private_tools: bool = setting(
        True, "Bring uv and Node.js from PyPI into data_dir where this machine has none."
    )
    timeout: float = setting(900.0, "Seconds that one step of an installation may take.", SECONDS)


@attrs.frozen
class OllamaConfig:
    url: str = setting(
        "http://127.0.0.1:11434",
        "Where Ollama listens (OLLAMA_HOST is honoured when this is not set).",
        not_empty,
        is_url,
    )
    autostart: bool = setting(
        False, "Start `ollama serve` when it is not running, and stop it with the gateway."
    )


@attrs.frozen
class EmbeddedConfig:
    model_path: str = setting(
        "", "A GGUF file; empty means the one that `archestra-gateway embedded install` brings."
    )
    idle_timeout: float = setting(600.0, "Seconds without a call after which it is ended.", SECONDS)
    max_tokens: int = setting(
        512, "Tokens after which an answer of it ends, done or not; 0 means no limit.", at_least(0)
    )
    sandbox: bool = setting(
        True, "Confine its process, without any network; a graphics card can be used only without that."
    )


@attrs.frozen
class LlmConfig:
    max_body: int = setting(
        0, "Largest request body, in bytes; 0 means no limit (models are pushed through here).", BYTES
    )
    connect_timeout: float = setting(10.0, "Seconds to connect to a provider.", SECONDS)
    read_timeout: float = setting(600.0, "Seconds without a byte from a provider.", SECONDS)
    ollama: OllamaConfig = attrs.field(factory=OllamaConfig)
    embedded: EmbeddedConfig = attrs.field(factory=EmbeddedConfig)


@attrs.frozen
class AgentConfig:
    provider: str = setting(
        "ollama",
        "The LLM provider of a chat whose request names none; embedded takes over where Ollama does not run.",
        not_empty,
    )
    model: str = setting(
        "", "The model of a chat whose request names none; empty means the first one that Ollama lists."
    )
    system_prompt: str = setting(
        "You are a helpful assistant. Use your tools where they help, and say plainly what did not work.",
        "What every model is told first; a request's `system` takes its place.",
    )
    thinking: str = setting(
        "auto",
        "Whether a model is to think first, where it can be told (Ollama, Anthropic): on, off, or auto (as "
        "it does by itself); a request's `thinking` takes its place.",
        one_of("auto", "on", "off"),
    )
    titles: bool = setting(True, "Let the model find a title for a new chat.")
    max_steps: int = setting(
        20, "Model calls of one answer, after which it ends whether the model is done or not.", at_least(1)
    )
    approval: str = setting(
        "destructive",
        "Which tool calls a person is asked about: destructive (where the tool says it is), writes "
        "(unless it says that it only reads), always or never.",
        one_of("destructive", "writes", "always", "never"),
    )
    approval_timeout: float = setting(
        300.0, "Seconds without an answer after which a call is denied.", SECONDS
    )
    model_timeout: float = setting(300.0, "Seconds without a byte from the model.", SECONDS)
    tool_timeout: float = setting(300.0, "Seconds that one tool call may take.", SECONDS)
    context: int = setting(
        0,
        "Tokens of a chat that a model gets, and that Ollama loads it with; 0 means as many as the model "
        "says it takes. Of what is too large the oldest messages are left out.",
        at_least(0),
    )
    max_tool_result: int = setting(
        32 * 1024, "Characters of one tool result that the model gets; the rest is cut.", at_least(1)
    )
    max_body: int = setting(
        64 * 1024 * 1024, "Largest chat that a client may send, files included, in bytes.", BYTES
    )
    max_runs: int = setting(200, "Answers at once, over all chats.", at_least(1))
    ping: float = setting(15.0, "Seconds of silence after which a stream says `ping`.", SECONDS)


@attrs.frozen
class OAuthConfig:
    client_metadata_url: str = setting(
        "",
        "Where the gateway's client metadata (GET /oauth/client.json) are published, if anywhere (https).",
        is_url,
    )
    private_hosts: tuple[str, ...] = setting(
        (), "Hosts of logins whose addresses may be private: a company's own.", each(is_host)
    )
    login_timeout: float = setting(600.0, "Seconds that a person has to finish a login.", SECONDS)
    timeout: float = setting(15.0, "Seconds that an authorization server has for one answer.", SECONDS)


@attrs.frozen
class RequestLogConfig:
    enabled: bool = setting(True, "Write MCP and LLM calls to the request log.")
    max_body: int = setting(64 * 1024, "Bytes of each body that are kept; 0 keeps none.", BYTES)
    queue: int = setting(
        20_000, "Rows that may wait for the disk; what comes beyond is counted and dropped.", at_least(1)
    )
    retention_days: int = setting(30, "Days that rows are kept; 0 means for ever.", at_least(0))


@attrs.frozen
class LogConfig:
    level: str = setting(
        "info", "debug, info, warning or error.", one_of("debug", "info", "warning", "error")
    )
    format: str = setting("text", "text or json.", one_of("text", "json"))


@attrs.frozen
class Config:
    """The whole of it; sections are the tables of config.toml."""

    server: ServerConfig = attrs.field(factory=ServerConfig)
    security: SecurityConfig = attrs.field(factory=SecurityConfig)
    mcp: McpConfig = attrs.field(factory=McpConfig)
    catalog: CatalogConfig = attrs.field(factory=CatalogConfig)
    install: InstallConfig = attrs.field(factory=InstallConfig)
    llm: LlmConfig = attrs.field(factory=LlmConfig)
    agent: AgentConfig = attrs.field(factory=AgentConfig)
    oauth: OAuthConfig = attrs.field(factory=OAuthConfig)
    request_log: RequestLogConfig = attrs.field(factory=RequestLogConfig)
    log: LogConfig = attrs.field(factory=LogConfig)

    @property
    def embedded_model(self) -> Path:
        """The file that the provider `embedded` loads."""
        named = self.llm.embedded.model_path
        return Path(named).expanduser() if named else self.server.demonstration_model

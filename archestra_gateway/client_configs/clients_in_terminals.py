"""The clients that run in a terminal."""

from archestra_gateway.client_configs.client import Client, everywhere
from archestra_gateway.client_configs.formats import Format
from archestra_gateway.client_configs.section import Section
from archestra_gateway.client_configs.shapes import (
    COMMAND,
    HTTP_URL,
    LOCAL,
    MCP,
    MCP_SERVERS,
    REMOTE,
    TOML_SERVERS,
    TYPED_COMMAND,
    TYPED_URL,
    URL,
    one,
)

DESCRIPTION = "MCP servers of the Archestra gateway"

CLAUDE_CODE = Client(
    id="claude-code",
    title="Claude Code",
    instances=one(
        everywhere("{claude}/.claude.json"),
        commands=("claude",),
        markers=("{claude}/.claude.json", "{home}/.claude"),
    ),
    form=Format.JSON,
    section=MCP_SERVERS,
    http=TYPED_URL,
    stdio=TYPED_COMMAND,
    own_command="claude",
    notes=("Sessions that are already open see the change after a restart.",),
    calls_itself=("claude-code",),
)
GEMINI_CLI = Client(
    id="gemini-cli",
    title="Gemini CLI",
    instances=one(
        everywhere("{home}/.gemini/settings.json"),
        commands=("gemini",),
        markers=("{home}/.gemini/settings.json",),
    ),
    form=Format.JSON_WITH_COMMENTS,
    section=MCP_SERVERS,
    http=HTTP_URL,
    stdio=COMMAND,
    bare_url="sse",
    notes=("Gemini CLI shows the server as disabled until the folder that it runs in is trusted.",),
    calls_itself=("gemini-cli-mcp-client*",),
)
CODEX_CLI = Client(
    id="codex-cli",
    title="Codex CLI",
    instances=one(everywhere("{codex}/config.toml"), commands=("codex",)),
    form=Format.TOML,
    section=TOML_SERVERS,
    http={"url": "$url", "http_headers": "$headers"},
    stdio=COMMAND,
    calls_itself=("codex-mcp-client", "Codex"),
)
GOOSE = Client(
    id="goose",
    title="Goose",
    instances=one(
        {
            "linux": ("{xdg}/goose/config.yaml",),
            "macos": ("{home}/.config/goose/config.yaml",),
            "windows": ("{settings}/Block/goose/config/config.yaml",),
        },
        commands=("goose",),
    ),
    form=Format.YAML,
    section=Section(("extensions",)),
    http={
        "name": "$name",
        "description": DESCRIPTION,
        "type": "streamable_http",
        "uri": "$url",
        "headers": "$headers",
        "enabled": True,
        "timeout": 300,
    },
    stdio={
        "name": "$name",
        "description": DESCRIPTION,
        "type": "stdio",
        "cmd": "$command",
        "args": "$args",
        "enabled": True,
        "timeout": 300,
    },
    calls_itself=("goose",),
)
OPENCODE = Client(
    id="opencode",
    title="OpenCode",
    instances=one(
        everywhere("{xdg}/opencode/opencode.json", "{xdg}/opencode/opencode.jsonc"), commands=("opencode",)
    ),
    form=Format.JSONC,
    section=MCP,
    http=REMOTE,
    stdio=LOCAL,
    calls_itself=("opencode",),
)
COPILOT_CLI = Client(
    id="copilot-cli",
    title="GitHub Copilot CLI",
    instances=one(everywhere("{home}/.copilot/mcp-config.json"), commands=("copilot",)),
    form=Format.JSONC,
    section=MCP_SERVERS,
    http={**TYPED_URL, "tools": ["*"]},
    stdio={"type": "local", **COMMAND, "tools": ["*"]},
    calls_itself=("github-copilot-developer",),
)
QWEN_CODE = Client(
    id="qwen-code",
    title="Qwen Code",
    instances=one(everywhere("{home}/.qwen/settings.json"), commands=("qwen",)),
    form=Format.JSONC,
    section=MCP_SERVERS,
    http=HTTP_URL,
    stdio=COMMAND,
    bare_url="sse",
    calls_itself=("qwen-code-mcp-client", "qwen-cli-mcp-client*"),
)
AUGMENT = Client(
    id="augment",
    title="Augment",
    instances=one(everywhere("{home}/.augment/settings.json"), commands=("auggie",)),
    form=Format.JSONC,
    section=MCP_SERVERS,
    http=TYPED_URL,
    stdio=TYPED_COMMAND,
    calls_itself=("augment-mcp-client",),
)
KILO_CODE = Client(
    id="kilo-code",
    title="Kilo Code",
    instances=one(everywhere("{xdg}/kilo/kilo.json", "{xdg}/kilo/kilo.jsonc"), commands=("kilo",)),
    form=Format.JSONC,
    section=MCP,
    http=REMOTE,
    stdio=LOCAL,
    calls_itself=("Kilo Code", "kilo"),
)
FACTORY_DROID = Client(
    id="factory-droid",
    title="Factory Droid",
    instances=one(everywhere("{home}/.factory/mcp.json"), commands=("droid",)),
    form=Format.JSON,
    section=MCP_SERVERS,
    http=TYPED_URL,
    stdio=TYPED_COMMAND,
    calls_itself=("factory-cli",),
)
CRUSH = Client(
    id="crush",
    title="Crush",
    instances=one(everywhere("{xdg}/crush/crush.json"), commands=("crush",)),
    form=Format.JSON,
    section=MCP,
    http=TYPED_URL,
    stdio=TYPED_COMMAND,
    notes=("The `crushrc` of newer versions is a Bash program and is not edited; only crush.json is.",),
    calls_itself=("crush",),
)
KIMI_CODE = Client(
    id="kimi-code",
    title="Kimi Code",
    instances=one(
        everywhere("{home}/.kimi-code/mcp.json", "{home}/.kimi/mcp.json"),
        commands=("kimi",),
    ),
    form=Format.JSON,
    section=MCP_SERVERS,
    http={"transport": "http", **URL},
    stdio=COMMAND,
)
GROK_BUILD = Client(
    id="grok-build",
    title="Grok Build",
    instances=one(everywhere("{grok}/config.toml"), commands=("grok",)),
    form=Format.TOML,
    section=TOML_SERVERS,
    http=URL,
    stdio=COMMAND,
)

"""The clients that have windows: desktop programs, editors and their extensions."""

from archestra_gateway.client_configs.client import Client, Instance, everywhere
from archestra_gateway.client_configs.formats import Format
from archestra_gateway.client_configs.section import Section
from archestra_gateway.client_configs.shapes import (
    COMMAND,
    EDITORS,
    EDITORS_AND_FORKS,
    MCP_SERVERS,
    SERVER_URL,
    SERVERS,
    TYPED_COMMAND,
    TYPED_URL,
    URL,
    editors,
    extension,
    one,
)

CLAUDE_DESKTOP = Client(
    id="claude-desktop",
    title="Claude Desktop",
    instances=one(
        {
            "linux": ("{settings}/Claude/claude_desktop_config.json",),
            "macos": ("{settings}/Claude/claude_desktop_config.json",),
            "windows": (
                "{local}/Packages/Claude_*/LocalCache/Roaming/Claude/claude_desktop_config.json",
                "{settings}/Claude/claude_desktop_config.json",
            ),
        }
    ),
    form=Format.JSON,
    section=MCP_SERVERS,
    http=None,
    stdio=COMMAND,
    must_be_quit=True,
    notes=("Quit Claude Desktop first: it writes its own copy of the file when it ends.",),
    calls_itself=("claude-ai",),
)
CURSOR = Client(
    id="cursor",
    title="Cursor",
    instances=one(everywhere("{home}/.cursor/mcp.json"), commands=("cursor", "cursor-agent")),
    form=Format.JSONC,
    section=MCP_SERVERS,
    http=URL,
    stdio=COMMAND,
    calls_itself=("cursor-vscode", "Cursor"),
)
VS_CODE = Client(
    id="vscode",
    title="VS Code",
    instances=editors("mcp.json"),
    form=Format.JSONC,
    section=SERVERS,
    http=TYPED_URL,
    stdio=TYPED_COMMAND,
    notes=("VS Code asks once whether the server is trusted.",),
)
WINDSURF = Client(
    id="windsurf",
    title="Windsurf (Devin Desktop)",
    instances=one(
        everywhere("{home}/.codeium/windsurf/mcp_config.json"),
        commands=("windsurf",),
        markers=("{home}/.codeium/windsurf", "{home}/.devin"),
    ),
    form=Format.JSON,
    section=MCP_SERVERS,
    http=SERVER_URL,
    stdio=COMMAND,
    notes=("Press refresh in the MCP panel, or restart Windsurf.",),
    calls_itself=("windsurf-client", "Windsurf"),
)
ZED = Client(
    id="zed",
    title="Zed",
    instances=one(
        {
            "linux": ("{xdg}/zed/settings.json",),
            "macos": ("{home}/.config/zed/settings.json",),
            "windows": ("{settings}/Zed/settings.json",),
        },
        commands=("zed", "zeditor"),
    ),
    form=Format.JSONC,
    section=Section(("context_servers",)),
    http=URL,
    stdio=COMMAND,
    calls_itself=("Zed",),
)
LM_STUDIO = Client(
    id="lm-studio",
    title="LM Studio",
    instances=one(everywhere("{lm_studio}/mcp.json"), commands=("lms",)),
    form=Format.JSON,
    section=MCP_SERVERS,
    http=URL,
    stdio=COMMAND,
)
CLINE = Client(
    id="cline",
    title="Cline",
    instances=(
        *extension(
            "saoudrizwan.claude-dev",
            "globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
            EDITORS_AND_FORKS,
        ),
        Instance(
            "-cli",
            "CLI",
            everywhere("{home}/.cline/data/settings/cline_mcp_settings.json"),
            markers=("{home}/.cline",),
            commands=("cline",),
        ),
    ),
    form=Format.JSON,
    section=MCP_SERVERS,
    http={**URL, "type": "streamableHttp", "disabled": False},
    stdio={**COMMAND, "type": "stdio", "disabled": False},
    bare_url="sse",
    calls_itself=("Cline",),
)
CONTINUE = Client(
    id="continue",
    title="Continue",
    instances=one(everywhere("{home}/.continue/config.yaml")),
    form=Format.YAML,
    section=Section(("mcpServers",), is_list=True),
    http={
        "name": "$name",
        "type": "streamable-http",
        "url": "$url",
        "requestOptions": {"headers": "$headers"},
    },
    stdio={"name": "$name", "type": "stdio", **COMMAND},
    new_file="name: Local Config\nversion: 1.0.0\nschema: v1\n",
    notes=("Continue uses MCP servers in agent mode only.",),
    calls_itself=("continue-client", "continue-cli-client"),
)
JUNIE = Client(
    id="junie",
    title="Junie",
    instances=one(everywhere("{home}/.junie/mcp/mcp.json"), commands=("junie",), markers=("{home}/.junie",)),
    form=Format.JSON,
    section=MCP_SERVERS,
    http=None,
    stdio=COMMAND,
)
KIRO = Client(
    id="kiro",
    title="Kiro",
    instances=one(
        everywhere("{home}/.kiro/settings/mcp.json"), commands=("kiro",), markers=("{home}/.kiro",)
    ),
    form=Format.JSON,
    section=MCP_SERVERS,
    http=URL,
    stdio=COMMAND,
)
WARP = Client(
    id="warp",
    title="Warp",
    instances=one(everywhere("{home}/.warp/.mcp.json"), commands=("warp-terminal",)),
    form=Format.JSON,
    section=MCP_SERVERS,
    http=URL,
    stdio=COMMAND,
)
ANTIGRAVITY = Client(
    id="antigravity",
    title="Antigravity",
    instances=(
        Instance("", "", everywhere("{home}/.gemini/config/mcp_config.json")),
        Instance("-ide", "IDE", everywhere("{home}/.gemini/antigravity-ide/mcp_config.json")),
    ),
    form=Format.JSON,
    section=MCP_SERVERS,
    http=SERVER_URL,
    stdio=COMMAND,
    calls_itself=("antigravity-client",),
)
ROO_CODE = Client(
    id="roo-code",
    title="Roo Code",
    instances=extension(
        "rooveterinaryinc.roo-cline",
        "globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json",
        EDITORS_AND_FORKS,
    ),
    form=Format.JSON,
    section=MCP_SERVERS,
    http={"type": "streamable-http", **URL},
    stdio=TYPED_COMMAND,
    calls_itself=("Roo Code",),
)
AMP = Client(
    id="amp",
    title="Amp",
    instances=(
        *extension("sourcegraph.amp", "settings.json", EDITORS),
        Instance(
            "-cli",
            "CLI",
            everywhere("{xdg}/amp/settings.json", "{xdg}/amp/settings.jsonc"),
            commands=("amp",),
        ),
    ),
    form=Format.JSONC,
    section=Section(("amp.mcpServers",)),
    http=URL,
    stdio=COMMAND,
    calls_itself=("amp-mcp-client",),
)
COPILOT_JETBRAINS = Client(
    id="copilot-jetbrains",
    title="GitHub Copilot in JetBrains IDEs",
    instances=one(
        {
            "linux": ("{xdg}/github-copilot/intellij/mcp.json",),
            "macos": ("{home}/.config/github-copilot/intellij/mcp.json",),
            "windows": ("{local}/github-copilot/intellij/mcp.json",),
        }
    ),
    form=Format.JSON,
    section=SERVERS,
    http={"url": "$url", "requestInit": {"headers": "$headers"}},
    stdio=COMMAND,
    calls_itself=("JetBrains-*-copilot-intellij",),
)

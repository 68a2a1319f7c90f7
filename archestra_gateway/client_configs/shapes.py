"""What several clients share: where servers stand, what an entry looks like, where editors keep files."""

from archestra_gateway.client_configs.client import Entry, Instance, Templates, everywhere
from archestra_gateway.client_configs.section import Section

MCP_SERVERS = Section(("mcpServers",))
SERVERS = Section(("servers",))
MCP = Section(("mcp",))
TOML_SERVERS = Section(("mcp_servers",))

URL: Entry = {"url": "$url", "headers": "$headers"}
TYPED_URL: Entry = {"type": "http", **URL}
SERVER_URL: Entry = {"serverUrl": "$url", "headers": "$headers"}
HTTP_URL: Entry = {"httpUrl": "$url", "headers": "$headers"}
REMOTE: Entry = {"type": "remote", "url": "$url", "headers": "$headers", "enabled": True}
COMMAND: Entry = {"command": "$command", "args": "$args"}
TYPED_COMMAND: Entry = {"type": "stdio", **COMMAND}
LOCAL: Entry = {"type": "local", "command": "$argv", "enabled": True}

Editor = tuple[str, str, str, str]
"""Suffix of the name, title, settings folder, command. What it calls itself is its product's long name."""

LONG_NAMES = {
    "": "Visual Studio Code",
    "-insiders": "Visual Studio Code - Insiders",
    "-vscodium": "VSCodium",
}

EDITORS: tuple[Editor, ...] = (
    ("", "VS Code", "Code", "code"),
    ("-insiders", "VS Code Insiders", "Code - Insiders", "code-insiders"),
    ("-vscodium", "VSCodium", "VSCodium", "codium"),
)
EDITORS_AND_FORKS: tuple[Editor, ...] = (
    *EDITORS,
    ("-cursor", "Cursor", "Cursor", "cursor"),
    ("-windsurf", "Windsurf", "Windsurf", "windsurf"),
)


def one(
    templates: Templates, *, commands: tuple[str, ...] = (), markers: tuple[str, ...] = ()
) -> tuple[Instance, ...]:
    """A client with one file."""
    return (Instance("", "", templates, commands=commands, markers=markers),)


def editors(file: str) -> tuple[Instance, ...]:
    """A file of VS Code itself, in each of its kinds and in each of its profiles."""
    kinds, profiles = [], []
    for suffix, title, folder, command in EDITORS:
        kind = title.removeprefix("VS Code").strip()
        said = (LONG_NAMES[suffix],)
        kinds.append(Instance(suffix, kind, _user(folder, file), commands=(command,), calls_itself=said))
        of_profile = _user(folder, f"profiles/*/{file}")
        title = f"{kind} profile".strip()
        profiles.append(Instance(f"{suffix}-profile", title, of_profile, each=True, calls_itself=said))
    return (*kinds, *profiles)


def extension(name: str, file: str, kinds: tuple[Editor, ...]) -> tuple[Instance, ...]:
    """A file of an editor's extension, which is installed where it has a storage folder."""
    return tuple(
        Instance(
            suffix,
            title,
            _user(folder, file),
            markers=(f"{{settings}}/{folder}/User/globalStorage/{name}",),
        )
        for suffix, title, folder, _ in kinds
    )


def _user(folder: str, file: str) -> Templates:
    return everywhere(f"{{settings}}/{folder}/User/{file}")

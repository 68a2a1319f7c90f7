"""What is installed for an MCP server whose command is a package, as clients get it."""

from typing import Literal

import attrs

InstallState = Literal["not_needed", "missing", "installing", "installed", "failed"]
InstallStep = Literal["waiting", "tools", "resolving", "downloading", "checking", "trying"]


@attrs.frozen(kw_only=True)
class InstalledPackage:
    """`hashes` are those that its file may have."""

    name: str
    version: str
    hashes: list[str]


@attrs.frozen(kw_only=True)
class McpServerInstall:
    """`not_needed`: the command is a program of this machine. `wanted` is what the command names.

    `version` is the one that is installed and stays until an update, `command` what is really started.
    `skipped_scripts` are packages that would run a script at their installation, which is never done.
    While something is being installed, `step`, `done` and `total` (packages) say how far it is.
    """

    name: str
    state: InstallState
    ecosystem: Literal["npm", "pypi"] | None = None
    wanted: list[str] = attrs.field(factory=list)
    version: str | None = None
    command: list[str] = attrs.field(factory=list)
    packages: list[InstalledPackage] = attrs.field(factory=list)
    skipped_scripts: list[str] = attrs.field(factory=list)
    lock_sha256: str | None = None
    files_sha256: str | None = None
    installed_at: str | None = None
    step: InstallStep | None = None
    done: int = 0
    total: int = 0
    error: str | None = None
    lines: list[str] = attrs.field(factory=list)


@attrs.frozen(kw_only=True)
class FollowInstall:
    """`follow` keeps the answer open as a stream of events, to the end of what is being installed."""

    follow: bool = False


@attrs.frozen(kw_only=True)
class PackageChange:
    """`before` is null for what comes, `after` for what goes."""

    name: str
    before: str | None
    after: str | None


@attrs.frozen(kw_only=True)
class PreviewUpdate:
    """`tools` installs the new version beside the old one and tries it, to tell how its tools differ."""

    tools: bool = False


@attrs.frozen(kw_only=True)
class ToolsChange:
    """Names of tools, against those that were accepted."""

    added: list[str]
    changed: list[str]
    removed: list[str]


@attrs.frozen(kw_only=True)
class UpdatePreview:
    """What an update would change now; `plan` names exactly this in the order to do it.

    `tools` is null unless they were asked for.
    """

    name: str
    version: str
    new_version: str
    changes: list[PackageChange]
    tools: ToolsChange | None
    plan: str


@attrs.frozen(kw_only=True)
class UpdateInstall:
    """Without a plan, the newest that there is."""

    plan: str | None = None

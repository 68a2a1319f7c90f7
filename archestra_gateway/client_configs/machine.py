"""The person's computer, as far as it decides where programs keep their files; all of it is an argument."""

import os
import shutil
import string
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import attrs

Platform = Literal["linux", "macos", "windows"]


@attrs.frozen
class Machine:
    platform: Platform
    home: Path
    environment: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    def folders(self) -> dict[str, str]:
        """What the placeholders of the client table stand for; LM Studio's home is named by a file."""
        home, get = self.home, self.environment.get
        xdg = get("XDG_CONFIG_HOME") or str(home / ".config")
        roaming = get("APPDATA") or str(home / "AppData" / "Roaming")
        settings = {
            "linux": xdg,
            "macos": str(home / "Library" / "Application Support"),
            "windows": roaming,
        }
        return {
            "home": str(home),
            "xdg": xdg,
            "settings": settings[self.platform],
            "roaming": roaming,
            "local": get("LOCALAPPDATA") or str(home / "AppData" / "Local"),
            "claude": get("CLAUDE_CONFIG_DIR") or str(home),
            "codex": get("CODEX_HOME") or str(home / ".codex"),
            "grok": get("GROK_HOME") or str(home / ".grok"),
            "lm_studio": _pointed_to(home / ".lmstudio-home-pointer") or str(home / ".lmstudio"),
        }

    def path(self, template: str) -> Path:
        """`{home}/.cursor/mcp.json` with the placeholders filled in."""
        return Path(string.Formatter().vformat(template, (), self.folders()))

    def which(self, command: str) -> str | None:
        """The program of that name on this person's PATH."""
        path = self.environment.get("PATH")
        return shutil.which(command, path=path) if path else None


def this_machine(environment: Mapping[str, str]) -> Machine:
    """The computer that the daemon runs on."""
    names: dict[str, Platform] = {"darwin": "macos", "win32": "windows"}
    home = environment.get("HOME") or environment.get("USERPROFILE") or str(Path.home())
    return Machine(names.get(sys.platform, "linux"), Path(home), environment)


def _pointed_to(pointer: Path) -> str | None:
    try:
        named = pointer.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return named if os.path.isabs(named) else None

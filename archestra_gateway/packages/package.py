"""The package that a command such as `npx …` stands for."""

import re
from collections.abc import Mapping
from typing import Any, Literal

import attrs

Ecosystem = Literal["npm", "pypi"]

NPM_NAME = r"(?:@[a-z0-9~-][\w.~-]*/)?[A-Za-z0-9~_][\w.~-]*"
NPM = re.compile(rf"({NPM_NAME})(?:@([\w.^~<>=*|+ -]+))?", re.ASCII)
PYPI = re.compile(
    r"([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)(\[[\w,. -]+\])?\s*"
    r"(@\s*[\w.!+*-]+|(?:[<>=!~]=?=?\s*[\w.!+*-]+\s*,?\s*)+)?",
    re.ASCII,
)


class NotInstallable(Exception):
    """A sentence about a command that names no package of a registry."""


@attrs.frozen
class Package:
    """`requirements` are installed together; the first is the one whose program runs, `program` if named.

    `settings` are variables of npm or uv that the command sets, such as another registry.
    """

    ecosystem: Ecosystem
    requirements: tuple[str, ...]
    program: str | None
    args: tuple[str, ...] = ()
    python: str | None = None
    settings: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    @property
    def name(self) -> str:
        """Without its version."""
        return name_of(self.ecosystem, self.requirements[0])

    @property
    def source(self) -> dict[str, Any]:
        """What decides whether something installed is this: everything but the program's arguments."""
        return {
            "ecosystem": self.ecosystem,
            "requirements": list(self.requirements),
            "program": self.program,
            "python": self.python,
        }


def name_of(ecosystem: Ecosystem, requirement: str) -> str:
    pattern = NPM if ecosystem == "npm" else PYPI
    found = pattern.fullmatch(requirement)
    return found[1] if found else requirement


def npm_requirement(text: str) -> str:
    """Raises NotInstallable for a folder, an archive, a Git repository."""
    if not NPM.fullmatch(text):
        raise NotInstallable(f"{text!r} is not a package of an npm registry with a version")
    return text


def pypi_requirement(text: str) -> str:
    """uvx's `name@1.2` becomes `name==1.2`. Raises NotInstallable for a folder or an archive."""
    found = PYPI.fullmatch(text.strip())
    if found is None:
        raise NotInstallable(f"{text!r} is not a package of a Python index with a version")
    version = (found[3] or "").strip()
    if version.startswith("@"):
        wanted = version[1:].strip()
        version = "" if wanted == "latest" else f"=={wanted}"
    return f"{found[1]}{found[2] or ''}{version}"

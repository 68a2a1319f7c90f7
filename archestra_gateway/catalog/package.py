"""Which published package a command line runs, for comparing it with others. Pure."""

import re
from collections.abc import Sequence

from archestra_gateway.packages.command import parse
from archestra_gateway.packages.package import (
    NotInstallable,
    Package,
    name_of,
    npm_requirement,
    pypi_requirement,
)


def package_of(command: str, args: Sequence[str]) -> Package | None:
    """None for what is not run by npx, uvx, pipx or the like, or not from a registry."""
    try:
        return parse(command, args)
    except NotInstallable:
        return None


def identity(package: Package) -> tuple[str, str]:
    """The same for every spelling of a package's name."""
    name = package.name
    return package.ecosystem, re.sub(r"[-_.]+", "-", name).lower() if package.ecosystem == "pypi" else name


def is_name(ecosystem: str, text: str) -> bool:
    """Of a package, without a version, and nothing that a package manager would take for an option."""
    try:
        if ecosystem == "npm":
            return name_of("npm", npm_requirement(text)) == text
        return name_of("pypi", pypi_requirement(text)) == text
    except NotInstallable:
        return False

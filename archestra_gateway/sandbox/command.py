"""How a server's configuration becomes a command line: the one place where confinement goes."""

import os
from collections.abc import Mapping
from pathlib import Path

import attrs

from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.sandbox.path import SearchPath, not_found
from archestra_gateway.schemas.mcp_server import StdioConfig

INHERITED = ("HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR")
INHERITED_PREFIX = "LC_"


@attrs.frozen
class Launch:
    """What is really started; `env` is the whole environment, `sandbox` the confinement that was applied."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = attrs.field(repr=False)
    cwd: str
    sandbox: str = "none"


def launch(server: StdioConfig, path: SearchPath, environment: Mapping[str, str]) -> Launch:
    """Raises UpstreamUnavailable when the command or the folder is not there."""
    command = os.path.expanduser(server.command)
    program = path.which(command)
    if program is None:
        raise UpstreamUnavailable(not_found(command, path.folders), command=command)
    cwd = os.path.expanduser(server.cwd or "~")
    if not os.path.isdir(cwd):
        raise UpstreamUnavailable(f"The working directory {cwd} does not exist", cwd=cwd)
    env = {**inherited(environment), "PATH": str(path), **server.env}
    return Launch((program, *server.args), env, cwd)


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """Of the daemon's environment, only what every program needs."""
    kept = {
        name: value
        for name, value in environment.items()
        if name in INHERITED or name.startswith(INHERITED_PREFIX)
    }
    return {"HOME": str(Path.home()), **kept}

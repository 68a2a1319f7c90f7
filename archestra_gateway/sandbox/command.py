"""What is really started, and how a server is started that runs without confinement."""

import os
from collections.abc import Mapping
from pathlib import Path

import attrs

from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.sandbox.egress import Egress, LoopbackEgress
from archestra_gateway.sandbox.path import SearchPath, not_found
from archestra_gateway.sandbox.watch import Bounds
from archestra_gateway.schemas.mcp_server import StdioConfig

INHERITED = ("HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR")
INHERITED_PREFIX = "LC_"


@attrs.frozen
class Launch:
    """`env` is the whole environment, `sandbox` the confinement that was applied.

    `descriptors` are the child's to inherit and ours to close after the start; `egress` and `bounds` live
    with the child.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = attrs.field(repr=False)
    cwd: str
    sandbox: str = "none"
    descriptors: tuple[int, ...] = ()
    egress: Egress | LoopbackEgress | None = None
    bounds: Bounds | None = None

    def close_descriptors(self) -> None:
        """The child has them."""
        for descriptor in self.descriptors:
            os.close(descriptor)

    def close(self) -> None:
        """The child has ended, or never started."""
        if self.egress is not None:
            self.egress.close()


def launch(server: StdioConfig, path: SearchPath, environment: Mapping[str, str]) -> Launch:
    """Without confinement. Raises UpstreamUnavailable when the command or the folder is not there."""
    command = os.path.expanduser(server.command)
    program = path.which(command)
    if program is None:
        raise UpstreamUnavailable(not_found(command, path.folders), command=command)
    cwd = os.path.expanduser(server.cwd or "~")
    if not os.path.isdir(cwd):
        raise UpstreamUnavailable(f"The working directory {cwd} does not exist", cwd=cwd)
    kept = inherited(environment)
    own = {name: text.replace("${home}", kept["HOME"]) for name, text in server.env.items()}
    env = {**kept, "PATH": str(path), **own}
    return Launch((program, *server.args), env, cwd)


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """Of the daemon's environment, only what every program needs."""
    kept = {
        name: value
        for name, value in environment.items()
        if name in INHERITED or name.startswith(INHERITED_PREFIX)
    }
    return {"HOME": str(Path.home()), **kept}

"""The daemon as the bridge sees it: found by its discovery file, started where it is not running."""

import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote, urlsplit

import attrs

from archestra_gateway.bridge.launch import launch
from archestra_gateway.daemon import instance
from archestra_gateway.daemon.exit_code import CommandError, ExitCode
from archestra_gateway.daemon.instance import Instance
from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.services.data_dir import DataDirError
from archestra_gateway.services.token import limited_token, load_token

PATIENCE = 30.0
PAUSE = 0.05
CONNECT_TIMEOUT = 5.0


@attrs.frozen
class Gateway:
    """Nothing is remembered between two messages: the daemon may be another one by then."""

    data_dir: Path
    command: tuple[str, ...]

    def find(self) -> Instance | None:
        """The running daemon, once it listens. Raises UpstreamUnavailable when it is not ours to use."""
        try:
            found = instance.running(self.data_dir)
        except CommandError as error:
            if error.code is ExitCode.DATA_DIR:
                raise UpstreamUnavailable(str(error)) from error
            return None  # it has this very moment begun
        return found if found and found.addresses else None

    def connect(self) -> HTTPConnection:
        """An open connection, after a start where one is needed. Raises UpstreamUnavailable."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if connection := self.connect_if_running():
                return connection
            launch(self.data_dir, self.command)
            time.sleep(PAUSE)  # one that has just begun, or is about to end
        raise UpstreamUnavailable(
            f"The gateway on {self.data_dir} does not listen; see what `archestra-gateway status` says"
        )

    def connect_if_running(self) -> HTTPConnection | None:
        found = self.find()
        return next(filter(None, map(_opened, found.addresses)), None) if found else None

    def token(self) -> str:
        """Raises UpstreamUnavailable."""
        try:
            return limited_token(load_token(self.data_dir))
        except DataDirError as error:
            raise UpstreamUnavailable(str(error)) from error


def path_to(server: str | None) -> str:
    """Where the daemon has this MCP server, or all of them together."""
    return "/mcp" if server is None else f"/mcp_proxy/{quote(server, safe='')}"


def _opened(address: str) -> HTTPConnection | None:
    url = urlsplit(address)
    connection = HTTPConnection(url.hostname or "", url.port, timeout=CONNECT_TIMEOUT)
    try:
        connection.connect()
    except OSError:
        return None
    connection.sock.settimeout(None)  # the daemon has its own time-outs, and its end is the connection's
    return connection

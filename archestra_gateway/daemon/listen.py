"""The sockets that the daemon listens on."""

import errno
import ipaddress
import logging
import socket
import time
from contextlib import ExitStack

from archestra_gateway.daemon import client, port_holder
from archestra_gateway.daemon.exit_code import CommandError, ExitCode

log = logging.getLogger(__name__)

BACKLOG = 2048
PATIENCE = 3.0
PAUSE = 0.1
NO_SUCH_ADDRESS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


def listen(bind: tuple[str, ...], port: int) -> list[socket.socket]:
    """A listening socket for each address, all on one port, also when `port` is 0. Raises CommandError.

    The port lies where Linux takes the ports of outgoing connections from, so it may be busy for a moment.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return _bind_all(bind, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise CommandError(
                    f"Can not listen on port {port}: {error.strerror}.", ExitCode.PORT_BUSY
                ) from error
            if time.monotonic() > deadline:
                raise CommandError(_who_has(port), ExitCode.PORT_BUSY) from error
        time.sleep(PAUSE)


def can_listen(bind: tuple[str, ...], port: int) -> bool:
    """Whether the port is free at this moment."""
    try:
        for opened in _bind_all(bind, port):
            opened.close()
    except (OSError, CommandError):
        return False
    return True


def _bind_all(bind: tuple[str, ...], port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    with ExitStack() as undo:
        for address in bind:
            try:
                opened = undo.enter_context(_bind(address, port))
            except OSError as error:
                if error.errno not in NO_SUCH_ADDRESS:
                    raise
                log.warning("This machine has no address %s; not listening there", address)
                continue
            sockets.append(opened)
            port = opened.getsockname()[1]
        undo.pop_all()
    if not sockets:
        raise CommandError(f"This machine has none of the addresses {', '.join(bind)}.", ExitCode.PORT_BUSY)
    return sockets


def _bind(address: str, port: int) -> socket.socket:
    """Listening at once: with SO_REUSEADDR two may bind, and only the second listen() would fail."""
    family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind((address, port))
        opened.listen(BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened


def _who_has(port: int) -> str:
    holder = port_holder.find(port)
    if other := client.status(f"http://127.0.0.1:{port}"):
        pid = other.get("pid") or (holder.pid if holder else "unknown")
        about = f"pid {pid}, version {other['version']}, data in {other.get('data_dir')}"
        name = f"another archestra-gateway ({about})"
    elif holder:
        name = f"pid {holder.pid}: {holder.command}"
    else:
        name = "another program, of another user perhaps"
    return f"Port {port} is taken by {name}. Stop it, or choose another port with --port."

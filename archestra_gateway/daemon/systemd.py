"""What systemd hands to a service: sockets that are open already, and a place to say that we are ready."""

import contextlib
import os
import socket
from collections.abc import Mapping

FIRST_DESCRIPTOR = 3


def activated_sockets(environment: Mapping[str, str]) -> list[socket.socket]:
    """The sockets of sd_listen_fds(3); they are ours only when LISTEN_PID says so."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(environment.get("LISTEN_FDS", "0"))
    sockets = [socket.socket(fileno=FIRST_DESCRIPTOR + index) for index in range(count)]
    for activated in sockets:
        activated.set_inheritable(False)
    return sockets


def notify(environment: Mapping[str, str], state: str) -> None:
    """sd_notify(3): `READY=1`, `STOPPING=1`; nothing when no service manager asked for it."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)

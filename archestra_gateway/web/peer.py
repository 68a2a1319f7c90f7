"""Which user is at the other end of a loopback connection (Linux)."""

import contextlib
import os
import socket
import struct
import sys
from pathlib import Path

Address = tuple[str, int]

_SOCK_DIAG_BY_FAMILY = 20
_NETLINK_SOCK_DIAG = 4
_NLM_F_REQUEST = 1
_NO_COOKIE = 0xFFFFFFFF
_UID_AND_INODE = 16 + 4 + 48 + 12  # after nlmsghdr, family…retrans, inet_diag_sockid, expires/rqueue/wqueue


class UnknowableError(Exception):
    """This system offers no way to tell."""


def is_another_user(peer: Address, local: Address) -> bool:
    """Whether the process that connected from `peer` runs as somebody else.

    True when its socket is not to be found, which on one machine means that its owner has closed it. Where
    the system can not tell, nobody is accused.
    """
    if sys.platform != "linux":
        return False
    try:
        return uid_of(peer, local) != os.geteuid()
    except UnknowableError:
        return False


def uid_of(peer: Address, local: Address) -> int | None:
    """The owner of the client's socket. Raises UnknowableError when the kernel lets nobody ask."""
    with contextlib.suppress(OSError):
        return _ask_netlink(peer, local)
    try:
        return _read_proc(peer, local)
    except OSError as error:
        raise UnknowableError from error


def _ask_netlink(peer: Address, local: Address) -> int | None:
    """One exact inet_diag query, about 20 µs (sock_diag(7))."""
    family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
    ends = b"".join(socket.inet_pton(family, end[0]).ljust(16, b"\0") for end in (peer, local))
    socket_id = struct.pack("!HH", peer[1], local[1]) + ends + struct.pack("=III", 0, _NO_COOKIE, _NO_COOKIE)
    question = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF) + socket_id
    head = struct.pack("=IHHII", 16 + len(question), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as link:
        link.settimeout(0.5)
        link.send(head + question)
        reply = link.recv(4096)
    if struct.unpack_from("=H", reply, 4)[0] != _SOCK_DIAG_BY_FAMILY:
        return None
    uid, inode = struct.unpack_from("=II", reply, _UID_AND_INODE)
    return int(uid) if inode else None  # a socket whose owner is gone shows uid 0, which is nobody's proof


def _read_proc(peer: Address, local: Address) -> int | None:
    """The same from /proc/net/tcp, for kernels and containers without netlink."""
    family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
    wanted = [_proc_address(family, peer), _proc_address(family, local)]
    table = Path("/proc/net/tcp6" if family == socket.AF_INET6 else "/proc/net/tcp")
    for line in table.read_text().splitlines()[1:]:
        columns = line.split()
        if columns[1:3] == wanted:
            return int(columns[7]) if columns[9] != "0" else None
    return None


def _proc_address(family: int, address: Address) -> str:
    """`0100007F:D53B`: the address in words of the machine's own byte order, the port as a number."""
    words = socket.inet_pton(family, address[0])
    count = len(words) // 4
    return "".join(f"{word:08X}" for word in struct.unpack(f"={count}I", words)) + f":{address[1]:04X}"

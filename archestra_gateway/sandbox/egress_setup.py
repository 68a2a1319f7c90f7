"""A launcher in a child's own network: makes the listeners, hands them to the gateway, becomes the server.

    python -I -S egress_setup.py DESCRIPTOR PORTS COMMAND…

Every IPv4 address becomes one of the network's own, so that whatever the server connects to ends at a
listener, and the gate sees which address it was. Of the standard library alone, for its start is a part of
every start; `socket` itself would double it.
"""

import _socket as socket
import array
import ctypes
import fcntl
import os
import struct
import sys

SET_ADDRESS, SET_NETMASK = 0x8916, 0x891C
PREFIXES = range(1, 9)
"""128/1, 64/2, 32/3 … 1/8: all addresses but those that begin with 0, which the kernel leaves to itself."""
DNS, PROXY = 53, 3128
BACKLOG = 128
AMBIENT, CLEAR_ALL = 47, 4


def main(descriptor: int, ports: list[int], command: list[str]) -> None:
    own_every_address()
    listeners = [datagrams("127.0.0.1", DNS), listener("127.0.0.1", PROXY)]
    listeners += [listener("0.0.0.0", port) for port in ports]  # noqa: S104 - of a network that is empty
    gateway = socket.socket(fileno=descriptor)
    numbers = array.array("i", [each.fileno() for each in listeners])
    gateway.sendmsg([b"listeners"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)])
    gateway.close()
    ctypes.CDLL(None).prctl(AMBIENT, CLEAR_ALL, 0, 0, 0)
    os.execv(command[0], command)  # noqa: S606


def own_every_address() -> None:
    control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for length in PREFIXES:
        ask(control, SET_ADDRESS, length, bytes([256 >> length, 0, 0, 1]))
        ask(control, SET_NETMASK, length, (0xFFFFFFFF << (32 - length) & 0xFFFFFFFF).to_bytes(4, "big"))
    control.close()


def ask(control: socket.socket, order: int, number: int, address: bytes) -> None:
    """`struct ifreq` of netdevice(7)."""
    fcntl.ioctl(control, order, struct.pack("16sHH4s8x", f"lo:{number}".encode(), socket.AF_INET, 0, address))


def listener(address: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, port))
    made.listen(BACKLOG)
    return made


def datagrams(address: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, port))
    return made


if __name__ == "__main__":
    main(int(sys.argv[1]), [int(port) for port in sys.argv[2].split(",")], sys.argv[3:])

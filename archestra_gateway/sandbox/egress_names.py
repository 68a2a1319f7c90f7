"""Names for a child without a network: each gets an address of its own, by which the gate knows it. Pure."""

import ipaddress
import struct
from collections.abc import Callable

FIRST = int(ipaddress.IPv4Address("11.0.1.0"))
"""Addresses that look public: some programs refuse names that lead to private ones."""

MOST = 65536
HEADER = struct.Struct(">HHHHHH")
ADDRESS_RECORD, INTERNET = 1, 1
IS_ANSWER, RECURSION = 0x8000, 0x0180
NO_SUCH_NAME = 3
SECONDS = 60


class Names:
    """Both ways; when all addresses are given away, new names are not known."""

    def __init__(self) -> None:
        self._address_of: dict[str, str] = {}
        self._name_of: dict[str, str] = {}

    def address_of(self, name: str) -> str | None:
        known = self._address_of.get(name)
        if known is None and len(self._address_of) < MOST:
            known = str(ipaddress.IPv4Address(FIRST + len(self._address_of)))
            self._address_of[name] = known
            self._name_of[known] = name
        return known

    def name_of(self, address: str) -> str:
        """An address that was never given away stands for itself."""
        return self._name_of.get(address, address)


def answer(query: bytes, address_of: Callable[[str], str | None]) -> bytes | None:
    """A DNS message (RFC 1035 §4.1) for a DNS message; None for what is no question."""
    try:
        identifier, flags, questions, *_ = HEADER.unpack_from(query)
        if flags & IS_ANSWER or questions != 1:
            return None
        name, end = _name(query, HEADER.size)
        kind, family = struct.unpack_from(">HH", query, end)
    except (struct.error, IndexError, UnicodeDecodeError):
        return None
    question = query[HEADER.size : end + 4]
    address = address_of(name)
    flags = IS_ANSWER | RECURSION | flags & 0x0100
    if address is None:
        return HEADER.pack(identifier, flags | NO_SUCH_NAME, 1, 0, 0, 0) + question
    if (kind, family) != (ADDRESS_RECORD, INTERNET):
        return HEADER.pack(identifier, flags, 1, 0, 0, 0) + question
    record = struct.pack(">HHHIH", 0xC000 | HEADER.size, kind, family, SECONDS, 4)
    packed = ipaddress.IPv4Address(address).packed
    return HEADER.pack(identifier, flags, 1, 1, 0, 0) + question + record + packed


def _name(message: bytes, position: int) -> tuple[str, int]:
    """The lower-case name of a question, and where it ends; a question has no compressed names."""
    labels = []
    while length := message[position]:
        if length > 63:
            raise IndexError("a label has at most 63 bytes")
        label = message[position + 1 : position + 1 + length]
        labels.append(label.decode("ascii").lower())
        position += 1 + length
    return ".".join(labels), position + 1

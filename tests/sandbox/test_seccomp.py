"""The filter, run instruction by instruction as the kernel would."""

import struct

import pytest

from archestra_gateway.sandbox import seccomp

X86, ARM = 0xC000003E, 0xC00000B7
CLONE_NEWUSER, CLONE_VM = 0x10000000, 0x100


def verdict(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """Of a BPF program that loads words, compares and returns."""
    audit = seccomp.AUDIT[machine] if architecture is None else architecture
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("<IIQ6Q", number, audit, 0, *padded)
    program = list(struct.iter_unpack("<HBBI", seccomp.program(machine)))
    loaded = position = 0
    while True:
        code, when_true, when_false, value = program[position]
        position += 1
        if code == seccomp.RETURN:
            return int(value)
        if code == seccomp.LOAD:
            loaded = struct.unpack_from("<I", data, value)[0]
            continue
        holds = {
            seccomp.EQUAL: loaded == value,
            seccomp.AT_LEAST: loaded >= value,
            seccomp.ANY_BIT: bool(loaded & value),
        }[code]
        position += when_true if holds else when_false


@pytest.mark.parametrize(
    ("machine", "number", "arguments", "expected"),
    [
        ("x86_64", 0, (), seccomp.ALLOW),  # read
        ("x86_64", 59, (), seccomp.ALLOW),  # execve
        ("x86_64", 101, (), seccomp.REFUSE),  # ptrace
        ("x86_64", 272, (), seccomp.REFUSE),  # unshare
        ("x86_64", 425, (), seccomp.REFUSE),  # io_uring_setup
        ("x86_64", 278, (), seccomp.REFUSE),  # vmsplice, the last of the list
        ("x86_64", 435, (), seccomp.UNKNOWN),  # clone3
        ("x86_64", 56, (CLONE_VM,), seccomp.ALLOW),
        ("x86_64", 56, (CLONE_VM | CLONE_NEWUSER,), seccomp.REFUSE),
        ("x86_64", 16, (0, 0x5401), seccomp.ALLOW),  # ioctl TCGETS
        ("x86_64", 16, (0, 0x5412), seccomp.REFUSE),  # TIOCSTI
        ("x86_64", 16, (0, 0x541C), seccomp.REFUSE),  # TIOCLINUX
        ("x86_64", 41, (seccomp.INET,), seccomp.ALLOW),
        ("x86_64", 41, (seccomp.INET6,), seccomp.ALLOW),
        ("x86_64", 41, (seccomp.NETLINK,), seccomp.ALLOW),
        ("x86_64", 41, (seccomp.UNIX,), seccomp.REFUSE),
        ("x86_64", 41, (17,), seccomp.REFUSE),  # packets
        ("x86_64", 53, (seccomp.UNIX,), seccomp.ALLOW),  # socketpair
        ("x86_64", 0x40000000 | 59, (), seccomp.KILL),  # x32
        ("aarch64", 117, (), seccomp.REFUSE),
        ("aarch64", 198, (seccomp.UNIX,), seccomp.REFUSE),
        ("aarch64", 198, (seccomp.INET,), seccomp.ALLOW),
        ("aarch64", 220, (CLONE_NEWUSER,), seccomp.REFUSE),
        ("aarch64", 64, (), seccomp.ALLOW),  # write
    ],
)
def test_a_call_is_judged(machine: str, number: int, arguments: tuple[int, ...], expected: int) -> None:
    assert verdict(machine, number, *arguments) == expected


def test_another_architecture_is_the_end() -> None:
    assert verdict("x86_64", 0, architecture=ARM) == seccomp.KILL


def test_without_a_network_no_internet_socket_is_made() -> None:
    wide = seccomp.program("x86_64", seccomp.WITH_NETWORK)
    narrow = seccomp.program("x86_64", seccomp.WITHOUT_NETWORK)

    assert len(wide) - len(narrow) == 2 * 8

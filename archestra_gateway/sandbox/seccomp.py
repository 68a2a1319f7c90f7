"""Which system calls a confined child may not make: a classic BPF program, made without libseccomp. Pure.

`struct seccomp_data` has the number at 0, the architecture at 4, arguments of 8 bytes from 16 (seccomp(2)).
"""

import errno
import struct
from collections.abc import Iterable

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT, SECOND_ARGUMENT = 0, 4, 16, 24

ALLOW = 0x7FFF0000
KILL = 0x80000000
REFUSE = 0x00050000 | errno.EPERM
UNKNOWN = 0x00050000 | errno.ENOSYS

X32 = 0x40000000
NEW_NAMESPACES = 0x7E020000
"""CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}"""

TERMINAL_INPUT = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX, which type into somebody's terminal."""

UNIX, INET, INET6, NETLINK = 1, 2, 10, 16

AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

REFUSED = {
    "x86_64": (
        101, 310, 311, 312, 438, 440,  # ptrace, process_vm_*, kcmp, pidfd_getfd, process_madvise
        165, 166, 155, 161, 428, 429, 430, 431, 432, 433, 442,  # mount, umount2, pivot_root, chroot, fsmount
        248, 249, 250,  # keys
        321, 298, 323, 425, 426, 427,  # bpf, perf_event_open, userfaultfd, io_uring
        246, 320, 175, 313, 176, 169,  # kexec, modules, reboot
        272, 308,  # unshare, setns
        167, 168, 163, 179, 304, 303,  # swap, acct, quotactl, file handles
        135, 279, 256, 172, 173, 212, 103, 164, 227, 305, 159, 278,  # personality … clocks, vmsplice
    ),
    "aarch64": (
        117, 270, 271, 272, 438, 440,
        40, 39, 41, 51, 428, 429, 430, 431, 432, 433, 442,
        217, 218, 219,
        280, 241, 282, 425, 426, 427,
        104, 294, 105, 273, 106, 142,
        97, 268,
        224, 225, 89, 60, 265, 264,
        92, 239, 238, 18, 116, 170, 112, 266, 171, 75,
    ),
}  # fmt: skip
CLONE = {"x86_64": 56, "aarch64": 220}
CLONE3 = 435
IOCTL = {"x86_64": 16, "aarch64": 29}
SOCKET = {"x86_64": 41, "aarch64": 198}

WITH_NETWORK = (INET, INET6, NETLINK)
"""UNIX only for a part of ours, which is shown nobody's, and where a person grants it: a granted folder may
hold the socket of another program. socketpair(2) is another call."""
WITH_LOCAL_SOCKETS = (*WITH_NETWORK, UNIX)
"""Abstract ones are still those of the child's own network alone."""
WITHOUT_NETWORK = (NETLINK,)

Instruction = tuple[int, int, int, int]


def program(machine: str, families: Iterable[int] = WITH_NETWORK, more: Iterable[int] = ()) -> bytes:
    """The filter for `platform.machine()`; `more` are calls to refuse.

    Raises KeyError for an architecture that is not known.
    """
    made = instructions(machine, families, more)
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in made)


def instructions(machine: str, families: Iterable[int], more: Iterable[int] = ()) -> list[Instruction]:
    wanted = tuple(families)
    made: list[Instruction] = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, AUDIT[machine]),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
    ]
    if machine == "x86_64":
        made += [(AT_LEAST, 0, 1, X32), (RETURN, 0, 0, KILL)]
    for number in (*REFUSED[machine], *more):
        made += [(EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE)]
    made += [(EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, UNKNOWN)]  # libraries fall back to clone
    made += _when(
        CLONE[machine],
        [(LOAD, 0, 0, FIRST_ARGUMENT), (ANY_BIT, 0, 1, NEW_NAMESPACES), (RETURN, 0, 0, REFUSE)],
    )
    first, second = TERMINAL_INPUT
    made += _when(
        IOCTL[machine],
        [
            (LOAD, 0, 0, SECOND_ARGUMENT),
            (EQUAL, 1, 0, first),
            (EQUAL, 0, 1, second),
            (RETURN, 0, 0, REFUSE),
        ],
    )
    known = [(EQUAL, len(wanted) - index, 0, family) for index, family in enumerate(wanted)]
    made += _when(SOCKET[machine], [(LOAD, 0, 0, FIRST_ARGUMENT), *known, (RETURN, 0, 0, REFUSE)])
    return [*made, (RETURN, 0, 0, ALLOW)]


def _when(number: int, body: list[Instruction]) -> list[Instruction]:
    """Look at one call's argument, then decide: whatever `body` does not refuse is allowed."""
    return [(EQUAL, 0, len(body) + 1, number), *body, (RETURN, 0, 0, ALLOW)]

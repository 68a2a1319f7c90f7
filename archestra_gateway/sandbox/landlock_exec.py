"""A launcher: limits, Landlock and seccomp for itself, then it becomes the server.

    python -I -S landlock_exec.py DESCRIPTOR COMMAND…

reads its orders as JSON (`landlock.spec`) from the descriptor. Of the standard library alone, for its start
is a part of every start.
"""

import base64
import ctypes
import json
import os
import resource
import struct
import sys
from typing import Any

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
PATH_BENEATH = 1
HANDLED_FILES = (1 << 16) - 1
HANDLED_TCP = 3
SCOPED = 3
"""Abstract sockets and signals."""
OF_FILES = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15

SET_SECCOMP, FILTER_MODE, SET_NO_NEW_PRIVS, SET_DUMPABLE = 22, 2, 38, 4

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def main(descriptor: int, command: list[str]) -> None:
    with open(descriptor, encoding="utf-8") as file:
        orders = json.load(file)
    os.umask(0o077)
    limit(orders["limits"], orders["processes"])
    checked(libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    restrict_files(orders["rules"])
    os.chdir(orders["cwd"])
    restrict_calls(base64.b64decode(orders["filter"]))
    os.execv(command[0], command)  # noqa: S606


def limit(limits: dict[str, int], processes: int) -> None:
    """Processes are counted per user here, so the limit is what there are now and some more."""
    wanted = {**limits, "NPROC": own_threads() + processes}
    for name, value in wanted.items():
        number = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(number)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (value, value))


def own_threads() -> int:
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.stat(f"/proc/{name}").st_uid == os.getuid():
                    count += os.stat(f"/proc/{name}/task").st_nlink - 2
            except OSError:
                continue
    return count


def restrict_files(rules: list[Any]) -> None:
    attributes = struct.pack("<QQQ", HANDLED_FILES, HANDLED_TCP, SCOPED)
    size = ctypes.c_size_t(len(attributes))
    ruleset = checked(
        libc.syscall(CREATE_RULESET, ctypes.create_string_buffer(attributes), size, 0), "Landlock"
    )
    for path, access in rules:
        allow(ruleset, path, access)
    checked(libc.syscall(RESTRICT_SELF, ruleset, 0), "Landlock")
    os.close(ruleset)


def allow(ruleset: int, path: str, access: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not os.path.isdir(path):
        access &= OF_FILES
    rule = ctypes.create_string_buffer(struct.pack("<Qi", access, opened))
    checked(libc.syscall(ADD_RULE, ruleset, PATH_BENEATH, rule, 0), f"Landlock for {path}")
    os.close(opened)


def restrict_calls(program: bytes) -> None:
    instructions = ctypes.create_string_buffer(program)
    header = struct.pack("<HxxxxxxQ", len(program) // 8, ctypes.addressof(instructions))
    checked(libc.prctl(SET_SECCOMP, FILTER_MODE, ctypes.create_string_buffer(header), 0, 0), "seccomp")


def checked(answer: int, what: str) -> int:
    if answer < 0:
        sys.exit(f"The sandbox can not be made: {what}: {os.strerror(ctypes.get_errno())}")
    return answer


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])

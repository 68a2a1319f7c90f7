"""What the Landlock launcher is told: rules, limits and the filter of a policy. Pure.

Access rights and scopes are those of <linux/landlock.h>; `landlock_exec` applies them.
"""

import base64
import os
import platform
from typing import Any

from archestra_gateway.sandbox.policy import SYSTEM_FILES, SYSTEM_FOLDERS, Policy
from archestra_gateway.sandbox.seccomp import UNIX, WITHOUT_NETWORK, program

OLDEST_ABI = 6
"""The first that keeps a child from sending signals to the rest of the user's programs (Linux 6.12)."""

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
TRUNCATE = 1 << 14
DEVICE_CONTROL = 1 << 15
EVERYTHING = (1 << 16) - 1
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | DEVICE_CONTROL
READ = EXECUTE | READ_FILE | READ_DIR
MAKE_DEVICES = 1 << 6 | 1 << 11
"""MAKE_CHAR and MAKE_BLOCK"""
WRITE = EVERYTHING & ~MAKE_DEVICES

READABLE = ("/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/dev/urandom", "/dev/random")
DEVICES = ("/dev/null", "/dev/zero")

SESSIONS = {"x86_64": (109, 112), "aarch64": (154, 157)}
"""setpgid and setsid: without process namespace, the group is what ends all of a server's processes."""


def spec(policy: Policy) -> dict[str, Any]:
    """As the launcher reads it, in JSON."""
    machine = platform.machine()
    families = (*WITHOUT_NETWORK, UNIX) if policy.listens else WITHOUT_NETWORK
    filtered = program(machine, families, SESSIONS[machine])
    return {
        "rules": rules(policy),
        "filter": base64.b64encode(filtered).decode(),
        "limits": {
            "CORE": 0,
            "NOFILE": policy.limits.open_files,
            "FSIZE": policy.limits.file_size,
            "DATA": policy.limits.memory,
        },
        "processes": policy.limits.processes,
        "cwd": policy.cwd,
    }


def rules(policy: Policy) -> list[tuple[str, int]]:
    """Paths that are not there are skipped by the launcher."""
    readable = (*SYSTEM_FOLDERS, *SYSTEM_FILES, *READABLE)
    made = [(path, READ) for path in readable] + [(path, READ_FILE | WRITE_FILE) for path in DEVICES]
    return made + [(mount.source, WRITE if mount.is_writable else READ) for mount in policy.mounts]


def shows_hidden(policy: Policy) -> bool:
    """Landlock can only add: a folder inside of a granted one can not be taken out again."""
    return bool(policy.hidden)


def temporary(home: str) -> str:
    return os.path.join(home, "tmp")

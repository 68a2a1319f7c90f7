"""Who a child is: the daemon's own user, or, below a daemon that is root, a user of its own."""

import os
import pwd
from zlib import crc32

FIRST = 60706
COUNT = 478
"""User ids that systemd, Debian and Fedora leave unused, and that exist in every container's range."""


def child_ids(name: str) -> tuple[int, int]:
    """The uid and gid of a server's children; the same at every start, for they own its home."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    uid = unused(FIRST + crc32(name.encode()) % COUNT)
    return uid, uid


def unused(uid: int) -> int:
    """The next that no account has."""
    for candidate in range(uid, FIRST + COUNT):
        try:
            pwd.getpwuid(candidate)
        except KeyError:
            return candidate
    return FIRST + COUNT - 1


def give(path: str, uid: int, gid: int) -> None:
    """Make a folder of ours the child's, when we are root."""
    if os.geteuid() == 0:
        os.chown(path, uid, gid, follow_symlinks=False)

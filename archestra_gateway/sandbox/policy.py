"""What a confined child gets, every mechanism alike: values only."""

import os
from collections.abc import Iterable, Mapping
from pathlib import PurePath

import attrs

from archestra_gateway.schemas.permissions import Limits

SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SYSTEM_FILES = (
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/pki",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
)
"""Nothing below /etc but these."""


@attrs.frozen
class Mount:
    """A file or folder of the host and where the child finds it."""

    source: str
    target: str
    is_writable: bool = False

    @classmethod
    def same(cls, path: str, *, is_writable: bool = False) -> "Mount":
        return cls(path, path, is_writable)


@attrs.frozen
class Policy:
    """`home` is the private folder on the host; `uid` is the child's, never 0; `mounts` outer before inner.

    `hidden` are folders, as the child would see them, that no mount may show; a mount inside of one is shown.
    `listens` lets it make sockets in its home, `local_sockets` wherever it may write.
    """

    command: tuple[str, ...]
    env: Mapping[str, str] = attrs.field(repr=False)
    home: str
    cwd: str
    uid: int
    gid: int
    mounts: tuple[Mount, ...] = ()
    hidden: tuple[str, ...] = ()
    limits: Limits = attrs.field(factory=Limits)
    reaches_out: bool = False
    listens: bool = False
    local_sockets: bool = False


def is_within(path: str, folder: str) -> bool:
    return PurePath(path).is_relative_to(folder)


def is_system(path: str) -> bool:
    """There for everybody, in every sandbox."""
    return any(is_within(path, folder) for folder in SYSTEM_FOLDERS)


def in_order(mounts: Iterable[Mount]) -> tuple[Mount, ...]:
    """Outer before inner, each target once: a writable mount wins over a read-only one."""
    best: dict[str, Mount] = {}
    for mount in mounts:
        known = best.get(mount.target)
        if known is None or mount.is_writable:
            best[mount.target] = mount
    return tuple(best[target] for target in sorted(best, key=lambda target: PurePath(target).parts))


def covers(mounts: Iterable[Mount], path: str) -> bool:
    """The child sees `path` through one of the mounts, or as a part of the system."""
    return is_system(path) or any(is_within(path, mount.target) for mount in mounts)


def system_paths() -> tuple[tuple[str, str | None], ...]:
    """Those that are here, with the target where one is a link, such as /bin → usr/bin."""
    return tuple(
        (path, os.readlink(path) if os.path.islink(path) and path in SYSTEM_FOLDERS else None)
        for path in (*SYSTEM_FOLDERS, *SYSTEM_FILES)
        if os.path.exists(path)
    )

"""Folders that nobody gets out of: a path is resolved once, then walked from its folder without any link."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NO_SURPRISE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""A link or a FIFO that took the file's place since we looked neither sends us elsewhere nor blocks us."""


class Refused(Exception):
    """What was asked is not done; the text says why, and what is possible."""


class Folder(NamedTuple):
    """`path` is absolute and free of links."""

    path: str
    is_writable: bool


class Location(NamedTuple):
    """A place in a folder: `parts` are plain names, without `..`, and without links when it was resolved."""

    folder: Folder
    parts: tuple[str, ...]

    @property
    def path(self) -> str:
        return os.path.join(self.folder.path, *self.parts)


def locate(folders: Sequence[Folder], path: str) -> Location:
    """Where `path` really is; a relative one starts at the first folder. Raises Refused if it is in none."""
    if "\0" in path:
        raise Refused("A path can not contain a NUL character.")
    try:
        real = os.path.realpath(os.path.join(folders[0].path, path))
    except UnicodeEncodeError as error:
        raise Refused("A path can not contain half of a surrogate pair.") from error
    location = containing(folders, real)
    if location is None:
        allowed = ", ".join(folder.path for folder in folders)
        raise Refused(f"{path} is outside of the allowed folders. Allowed: {allowed}")
    return location


def locate_writable(folders: Sequence[Folder], path: str) -> Location:
    location = locate(folders, path)
    if not location.folder.is_writable:
        allowed = ", ".join(folder.path for folder in folders if folder.is_writable) or "no folder"
        raise Refused(f"{path} is read-only here: it can be read and not be written. Writable: {allowed}")
    return location


def containing(folders: Sequence[Folder], real_path: str) -> Location | None:
    """The innermost folder wins, so that a writable folder inside a read-only one is writable."""
    for folder in sorted(folders, key=lambda folder: len(folder.path), reverse=True):
        if real_path == folder.path:
            return Location(folder, ())
        beginning = folder.path.rstrip("/") + "/"
        if real_path.startswith(beginning):
            return Location(folder, tuple(real_path.removeprefix(beginning).split("/")))
    return None


@contextmanager
def opened_directory(location: Location, create: bool = False) -> Iterator[int]:
    """A descriptor of the directory `location`, reached name by name: no link on the way is followed."""
    current = os.open(location.folder.path, DIRECTORY)
    try:
        for part in location.parts:
            child = _open_or_create(part, current) if create else os.open(part, DIRECTORY, dir_fd=current)
            os.close(current)
            current = child
        yield current
    finally:
        os.close(current)


def _open_or_create(name: str, parent: int) -> int:
    try:
        return os.open(name, DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        os.mkdir(name, dir_fd=parent)
        return os.open(name, DIRECTORY, dir_fd=parent)


@contextmanager
def opened_parent(location: Location, create: bool = False) -> Iterator[tuple[int, str]]:
    """The directory that holds `location`, and the name it has there."""
    if not location.parts:
        raise IsADirectoryError(location.path)
    *above, name = location.parts
    with opened_directory(location._replace(parts=tuple(above)), create) as parent:
        yield parent, name


@contextmanager
def opened_file(location: Location) -> Iterator[int]:
    """A descriptor to read a regular file by; anything else is refused without being opened."""
    with opened_parent(location) as (parent, name):
        descriptor = open_regular(name, parent, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_regular(name: str, parent: int, access: int) -> int:
    """Looked at before it is opened (a device acts when it is opened) and after (it may be another then)."""
    _require_regular(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode, name)
    descriptor = os.open(name, access | NO_SURPRISE, dir_fd=parent)
    try:
        _require_regular(os.fstat(descriptor).st_mode, name)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def status(location: Location) -> os.stat_result:
    """What the system knows about `location`, which is not opened."""
    if not location.parts:
        return os.stat(location.folder.path, follow_symlinks=False)
    with opened_parent(location) as (parent, name):
        return os.stat(name, dir_fd=parent, follow_symlinks=False)


def kind(mode: int) -> str:
    """`file`, `directory`, `symlink` or `other` (a device, a socket, a FIFO)."""
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}
    return kinds.get(stat.S_IFMT(mode), "other")


def _require_regular(mode: int, name: str) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(name)
    if not stat.S_ISREG(mode):
        raise Refused(f"{name} is a {kind_in_words(mode)}; only regular files can be read and written.")


def kind_in_words(mode: int) -> str:
    words = {
        stat.S_IFIFO: "FIFO",
        stat.S_IFSOCK: "socket",
        stat.S_IFCHR: "device",
        stat.S_IFBLK: "device",
        stat.S_IFLNK: "symbolic link that was put there a moment ago",
    }
    return words.get(stat.S_IFMT(mode), "special file")

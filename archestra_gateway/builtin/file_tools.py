"""What the filesystem tools do: read, write, list, tell about; each takes the allowed folders first."""

import base64
import codecs
import os
import stat
import time
from collections.abc import Sequence
from typing import Any

from archestra_gateway.builtin import confinement
from archestra_gateway.builtin.confinement import Folder, Location, Refused

READ_DEFAULT = 1024 * 1024
READ_LIMIT = 8 * 1024 * 1024
ENTRY_LIMIT = 2000


def read_file(
    folders: Sequence[Folder], path: str, encoding: str = "utf-8", offset: int = 0, limit: int = READ_DEFAULT
) -> list[str]:
    """The content, and a note on how to go on when there is more of it."""
    location = confinement.locate(folders, path)
    with confinement.opened_file(location) as descriptor, open(descriptor, "rb", closefd=False) as file:
        size = os.fstat(descriptor).st_size
        file.seek(offset)
        data = file.read(limit + 1)
    has_more = len(data) > limit
    content, used = _decoded(data[:limit], encoding, has_more, path)
    if not has_more:
        return [content]
    end = offset + used
    return [content, f"These are the bytes {offset} to {end} of {size}. To read on, give offset {end}."]


def _decoded(data: bytes, encoding: str, has_more: bool, path: str) -> tuple[str, int]:
    """The text, and how many bytes it stands for: a character that the limit cuts waits for the next time."""
    if encoding == "base64":
        return base64.b64encode(data).decode(), len(data)
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        content = decoder.decode(data, final=not has_more)
    except UnicodeDecodeError as error:
        raise Refused(f'{path} is not UTF-8 text. Read it with encoding "base64".') from error
    return content, len(data) - len(decoder.getstate()[0])


def write_file(
    folders: Sequence[Folder], path: str, content: str, encoding: str = "utf-8", create_parents: bool = False
) -> str:
    """The whole file or nothing: another reader never sees half of it."""
    location = confinement.locate_writable(folders, path)
    data = _encoded(content, encoding)
    with confinement.opened_parent(location, create_parents) as (parent, name):
        _replace(parent, name, data, _mode_to_keep(parent, name))
    return f"Wrote {len(data)} bytes to {location.path}."


def _encoded(content: str, encoding: str) -> bytes:
    try:
        return base64.b64decode(content, validate=True) if encoding == "base64" else content.encode()
    except UnicodeEncodeError as error:
        raise Refused("content has half of a surrogate pair, which is not a character.") from error
    except ValueError as error:
        raise Refused(f"content is not base64: {error}.") from error


def _mode_to_keep(parent: int, name: str) -> int | None:
    """Opening for writing lets the system say no, which it would not to a rename over the file."""
    try:
        descriptor = confinement.open_regular(name, parent, os.O_WRONLY)
    except FileNotFoundError:
        return None
    try:
        return stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o777
    finally:
        os.close(descriptor)


def _replace(parent: int, name: str, data: bytes, mode: int | None) -> None:
    temporary = f".{os.urandom(8).hex()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | confinement.NO_SURPRISE
    descriptor = os.open(temporary, flags, 0o666, dir_fd=parent)
    try:
        with open(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        os.unlink(temporary, dir_fd=parent)
        raise


def list_directory(folders: Sequence[Folder], path: str = ".") -> dict[str, Any]:
    location = confinement.locate(folders, path)
    with confinement.opened_directory(location) as descriptor, os.scandir(descriptor) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
        shown = [_described(entry) for entry in found[:ENTRY_LIMIT]]
    return {"path": location.path, "entries": shown, "total": len(found), "is_cut": len(found) > ENTRY_LIMIT}


def _described(entry: os.DirEntry[str]) -> dict[str, Any]:
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return {"name": entry.name, "type": "other"}
    described: dict[str, Any] = {"name": entry.name, "type": confinement.kind(found.st_mode)}
    if stat.S_ISREG(found.st_mode):
        described["size"] = found.st_size
    return described


def file_info(folders: Sequence[Folder], path: str) -> dict[str, Any]:
    location = confinement.locate(folders, path)
    return _information(location, confinement.status(location))


def _information(location: Location, found: os.stat_result) -> dict[str, Any]:
    return {
        "path": location.path,
        "type": confinement.kind(found.st_mode),
        "size": found.st_size,
        "modified": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(found.st_mtime)),
        "permissions": stat.filemode(found.st_mode),
        "is_in_writable_folder": location.folder.is_writable,
    }

"""Bundles as files: what is read of a zip archive that a stranger made, and how it is unpacked. Blocking."""

import os
import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

import attrs
import msgspec

from archestra_gateway.catalog.bundle import NotABundle

MANIFEST = "manifest.json"
LARGEST_MANIFEST = 1024 * 1024
PIECE = 256 * 1024


@attrs.frozen
class Limits:
    """For what is unpacked; the size of the file itself is bounded where it comes in."""

    files: int = 20_000
    size: int = 1024 * 1024 * 1024
    longest_path: int = 400


def manifest_of(file: Path, limits: Limits | None = None) -> Any:
    """The manifest, after a look at everything that unpacking would make. Raises NotABundle."""
    with _opened(file) as archive:
        members = list(_checked(archive, limits or Limits()))
        if not any(member.filename == MANIFEST for member in members):
            raise NotABundle("There is no manifest.json in it")
        with _member(archive, MANIFEST) as content:
            text = content.read(LARGEST_MANIFEST + 1)
    if len(text) > LARGEST_MANIFEST:
        raise NotABundle("Its manifest.json is larger than any manifest")
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise NotABundle("Its manifest.json is not JSON") from error


def unpack(file: Path, folder: Path, limits: Limits | None = None) -> None:
    """Everything of the bundle in a new `folder`, or nothing of it. Raises NotABundle."""
    limits = limits or Limits()
    folder.mkdir(mode=0o700, parents=True)
    left = limits.size
    try:
        with _opened(file) as archive:
            for member in _checked(archive, limits):
                target = folder / member.filename
                if member.is_dir():
                    target.mkdir(mode=0o755, parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                left -= _write(archive, member, target, left)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise NotABundle(f"It can not be unpacked: {error.strerror}") from error
        raise
    folder.chmod(0o755)


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, most: int) -> int:
    """The number of bytes, which the archive's own headers may lie about."""
    mode = 0o755 if member.external_attr >> 16 & 0o111 else 0o644
    written = 0
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file, _member(archive, member) as content:
        while piece := _piece(content):
            written += len(piece)
            if written > most:
                raise NotABundle("It is larger than anything that is unpacked here")
            file.write(piece)
    return written


def _checked(archive: zipfile.ZipFile, limits: Limits) -> Iterator[zipfile.ZipInfo]:
    """Every member, as long as nothing is wrong with one. Raises NotABundle."""
    members = archive.infolist()
    if len(members) > limits.files:
        raise NotABundle(f"It has more than {limits.files} files in it")
    if sum(member.file_size for member in members) > limits.size:
        raise NotABundle("It is larger than anything that is unpacked here")
    seen: set[str] = set()
    for member in members:
        _check(member, limits)
        name = member.filename.rstrip("/").casefold()
        if name in seen:
            raise NotABundle("It has two files of one name in it")
        seen.add(name)
        yield member


def _check(member: zipfile.ZipInfo, limits: Limits) -> None:
    name, mode = member.orig_filename, member.external_attr >> 16
    parts = PurePosixPath(name).parts
    if (
        not parts
        or name.startswith("/")
        or ".." in parts
        or len(name) > limits.longest_path
        or any(character in name for character in "\\:\0")
        or not name.isprintable()
    ):
        raise NotABundle("It has a file in it whose name leads out of its own folder")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise NotABundle("It has a link in it, or something else that is no file")
    if member.flag_bits & 0x1:
        raise NotABundle("It is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotABundle("It is compressed in a way that bundles are not")


def _opened(file: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise NotABundle("It is not a bundle: it can not be read as a zip archive") from error


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo | str) -> IO[bytes]:
    try:
        return archive.open(member)
    except (KeyError, RuntimeError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise NotABundle("It is broken: a file in it can not be read") from error


def _piece(content: IO[bytes]) -> bytes:
    try:
        return content.read(PIECE)
    except (EOFError, OSError, ValueError, zipfile.BadZipFile, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
        raise NotABundle("It is broken: a file in it can not be read") from error

"""Folders of installed files: one number for everything in them, and their removal."""

import hashlib
import os
import shutil
import stat
from pathlib import Path


def digest(folder: Path) -> str:
    """SHA-256 over every name, kind, right to be run and content."""
    total = hashlib.sha256()
    for path in sorted(_paths(folder)):
        full = os.path.join(folder, path)
        mode = os.lstat(full).st_mode
        total.update(os.fsencode(path) + b"\0")
        if stat.S_ISLNK(mode):
            total.update(b"link\0" + os.fsencode(os.readlink(full)))
        elif stat.S_ISDIR(mode):
            total.update(b"folder")
        else:
            total.update(b"program\0" if mode & stat.S_IXUSR else b"file\0")
            with open(full, "rb", buffering=0) as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def _paths(folder: Path) -> list[str]:
    found: list[str] = []
    for path, folders, files in os.walk(folder):
        relative = os.path.relpath(path, folder)
        found += [os.path.normpath(os.path.join(relative, name)) for name in (*folders, *files)]
    return found


def remove(folder: Path) -> None:
    """Whatever is in it, folders that nobody may write included."""
    for path, folders, _ in os.walk(folder):
        for name in ("", *folders):
            entry = os.path.join(path, name)
            if not os.path.islink(entry):
                os.chmod(entry, 0o700)
    shutil.rmtree(folder, ignore_errors=True)

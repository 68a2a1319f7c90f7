"""The gateway's own folder about client files: locks, and the time-stamped backups of every change."""

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import attrs

from archestra_gateway.errors import Conflict, NotFound

LOCK_PATIENCE = 10.0
PAUSE = 0.01
ID = re.compile(r"\d{8}T\d{6}\.\d{6}Z(-\d+)?")


@attrs.frozen
class Backup:
    """`id` is the moment of the change that it was made before."""

    id: str
    size: int


@attrs.frozen
class Backups:
    """`kept` backups of each client; older ones go when a new one comes."""

    folder: Path
    kept: int = 20

    @contextmanager
    def locked(self, path: Path) -> Iterator[None]:
        """One writer of `path` at a time, over all processes of this person's gateway."""
        folder = _private(self.folder, "locks")
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
        file = os.open(folder / digest, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(file, path)
            yield
        finally:
            os.close(file)

    def keep(self, name: str, content: bytes) -> Path:
        """Writes a backup to the disk; the oldest beyond `kept` are dropped."""
        folder = _private(self.folder, "backups", self._folder(name).name)
        file, path = _create(folder, datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ"))
        with os.fdopen(file, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(file)
        for backup in self.of(name)[self.kept :]:
            (folder / backup.id).unlink(missing_ok=True)
        return path

    def of(self, name: str) -> list[Backup]:
        """The newest first."""
        folder = self._folder(name)
        if not folder.is_dir():
            return []
        found = [
            Backup(path.name, path.stat().st_size) for path in folder.iterdir() if ID.fullmatch(path.name)
        ]
        return sorted(found, key=lambda backup: backup.id, reverse=True)

    def read(self, name: str, backup_id: str) -> bytes:
        """Raises NotFound."""
        if not ID.fullmatch(backup_id):
            raise NotFound(f"There is no backup {backup_id!r} of this client's file", backup=backup_id)
        try:
            return (self._folder(name) / backup_id).read_bytes()
        except FileNotFoundError as error:
            raise NotFound(
                f"There is no backup {backup_id!r} of this client's file", backup=backup_id
            ) from error

    def _folder(self, name: str) -> Path:
        readable = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64]
        return self.folder / "backups" / f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _private(folder: Path, *inner: str) -> Path:
    """The inner folder; what has to be made of it is nobody else's to look into."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for name in ("", *inner):
        folder = folder / name
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _lock(file: int, path: Path) -> None:
    deadline = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise Conflict(
                    "Another program of the gateway is writing the file", path=str(path)
                ) from error
            time.sleep(PAUSE)
        else:
            return


def _create(folder: Path, stamp: str) -> tuple[int, Path]:
    """A new file; two changes within one microsecond get different names."""
    for count in range(1000):
        path = folder / (f"{stamp}-{count}" if count else stamp)
        try:
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), path
        except FileExistsError:
            continue
    raise Conflict("A backup could not be named", folder=str(folder))

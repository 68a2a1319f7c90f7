"""The one daemon of a data directory: a locked file that says who it is and where it listens."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

from archestra_gateway.daemon.exit_code import CommandError, ExitCode

NAME = "instance.json"
PATIENCE = 1.0
PAUSE = 0.02
LONGEST = 64 * 1024


@attrs.frozen
class Instance:
    """`url` is what clients are told, `addresses` are the sockets' URLs; empty while it starts."""

    pid: int
    version: str
    started_at: str
    data_dir: str
    port: int = 0
    url: str = ""
    addresses: tuple[str, ...] = ()

    def __str__(self) -> str:
        place = f" at {self.url}" if self.url else ", still starting"
        return f"pid {self.pid}, version {self.version}{place}"


@attrs.frozen
class Lock:
    """Held as long as its file is open; the kernel gives it back however the process ends."""

    _file: int

    def publish(self, instance: Instance) -> None:
        text = json.dumps(attrs.asdict(instance), indent=2).encode() + b"\n"
        os.pwrite(self._file, text, 0)
        os.ftruncate(self._file, len(text))


@contextlib.contextmanager
def hold(data_dir: Path) -> Iterator[Lock]:
    """Raises CommandError when another daemon has this data directory."""
    file = os.open(data_dir / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(file, 0o600)
        _lock(file, data_dir)
        yield Lock(file)
        os.ftruncate(file, 0)
    finally:
        os.close(file)


def _lock(file: int, data_dir: Path) -> None:
    # Somebody who only looks holds a shared lock for an instant.
    deadline = time.monotonic() + PATIENCE
    while not _locked(file, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            raise CommandError(
                f"archestra-gateway is already running ({running(data_dir)}) on {data_dir}."
                " Stop it with `archestra-gateway stop`, or choose another --data-dir and --port.",
                ExitCode.ALREADY_RUNNING,
            )
        time.sleep(PAUSE)
    os.ftruncate(file, 0)


def _locked(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def running(data_dir: Path) -> Instance | None:
    """The daemon that has this data directory; a file left by one that was killed does not count."""
    try:
        file = os.open(data_dir / NAME, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise CommandError(f"{data_dir} belongs to another user.", ExitCode.DATA_DIR) from error
    try:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if _locked(file, fcntl.LOCK_SH):
                return None
            with contextlib.suppress(ValueError):  # nothing written yet, or not all of it
                return _parsed(os.pread(file, LONGEST, 0))
            time.sleep(PAUSE)
        raise CommandError(f"The daemon of {data_dir} is starting and has not said its pid yet; try again.")
    finally:
        os.close(file)


def _parsed(text: bytes) -> Instance:
    values = json.loads(text)
    return Instance(**{**values, "addresses": tuple(values["addresses"])})

"""A daemon of our own making: it outlives the bridge, and several bridges start one."""

import contextlib
import fcntl
import os
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

from archestra_gateway.daemon import instance
from archestra_gateway.daemon.exit_code import CommandError
from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.services import data_dir as data_directory
from archestra_gateway.services.data_dir import DataDirError

LOCK = "bridge.lock"
LOG = "daemon.log"
LONGEST_LOG = 8 * 1024 * 1024
PATIENCE = 30.0
DETACH = '"$@" &'
"""The shell ends at once, so that nobody who ends the bridge with all its children ends the daemon."""


def launch(data_dir: Path, command: tuple[str, ...]) -> None:
    """Returns when a daemon has the data directory, ours or another. Raises UpstreamUnavailable."""
    try:
        data_directory.prepare(data_dir)
    except DataDirError as error:
        raise UpstreamUnavailable(str(error)) from error
    with _alone(data_dir):
        if _is_taken(data_dir):
            return
        with _opened_log(data_dir / LOG) as log:
            began = os.fstat(log).st_size
            has_started = _start(data_dir, command, log)
        if not has_started and not _is_taken(data_dir):
            raise UpstreamUnavailable(
                f"The gateway could not be started: {_last_words(data_dir / LOG, began)}",
                log=str(data_dir / LOG),
            )


def _is_taken(data_dir: Path) -> bool:
    try:
        return instance.running(data_dir) is not None
    except CommandError:
        return True  # by one that has not said its pid yet


def _start(data_dir: Path, command: tuple[str, ...], log: int) -> bool:
    """Whether it says that it listens, which is one line on its stdout."""
    with subprocess.Popen(
        ["/bin/sh", "-c", DETACH, "sh", *command],
        cwd=data_dir,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        start_new_session=True,
    ) as shell:
        assert shell.stdout is not None  # noqa: S101
        readable, _, _ = select.select([shell.stdout], [], [], PATIENCE)
        return bool(readable and shell.stdout.readline())


@contextlib.contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    file = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


@contextlib.contextmanager
def _opened_log(path: Path) -> Iterator[int]:
    """Nobody rotates it while a daemon runs, so a long one makes room at the next start."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LONGEST_LOG:
            path.replace(path.with_suffix(".log.old"))
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        yield log
    finally:
        os.close(log)


def _last_words(path: Path, since: int) -> str:
    with path.open("rb") as file:
        file.seek(since)
        lines = file.read().decode(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), f"it said nothing within {PATIENCE:g} s")

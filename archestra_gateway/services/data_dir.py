"""The data directory: nobody but its owner looks into it."""

import os
import stat
from pathlib import Path

OTHERS = stat.S_IRWXG | stat.S_IRWXO
OURS = {"instance.json", "token", "gateway.db"}


class DataDirError(Exception):
    """The data directory can not be used; the message says why and what to do."""


def prepare(path: Path) -> None:
    """Makes the directory with mode 0700, or tightens one that is empty or already ours.

    Raises DataDirError.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
        if found.st_uid != os.geteuid():
            raise DataDirError(
                f"{path} belongs to another user; choose a directory of yours with --data-dir."
            )
        if found.st_mode & OTHERS:
            _tighten(path)
    except OSError as error:
        raise DataDirError(
            f"{path} can not be the data directory: {error.strerror}. Choose another with --data-dir."
        ) from error


def _tighten(path: Path) -> None:
    """A directory like /tmp or a home, named by mistake, must not be closed to everybody else."""
    names = set(os.listdir(path))
    if names and not names & OURS:
        raise DataDirError(
            f"{path} is open to other users and holds files that are not the gateway's;"
            " choose an empty directory with --data-dir."
        )
    path.chmod(0o700)

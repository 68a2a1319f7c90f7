"""Which program has a TCP port."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

LISTENING = "0A"
PROC = Path("/proc")


@attrs.frozen
class Holder:
    pid: int
    command: str


def find(port: int) -> Holder | None:
    """None when it can not be known: the process belongs to another user, or is gone already."""
    if sys.platform == "linux":
        return _in_proc(_tables(), port)
    return _by_lsof(port)


def inodes(table: Iterable[str], port: int) -> set[str]:
    """The sockets in /proc/net/tcp that keep this port busy: who listens, else an outgoing connection."""
    rows = [line.split() for line in table]
    busy = [row for row in rows if len(row) > 9 and row[1].endswith(f":{port:04X}") and row[9] != "0"]
    listening = [row for row in busy if row[3] == LISTENING]
    return {row[9] for row in listening or busy}


def _tables() -> Iterator[str]:
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            yield from (PROC / "net" / name).read_text().splitlines()[1:]


def _in_proc(table: Iterable[str], port: int) -> Holder | None:
    wanted = {f"socket:[{inode}]" for inode in inodes(table, port)}
    for process in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(os.readlink(link) in wanted for link in (process / "fd").iterdir()):
                words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
                return Holder(int(process.name), " ".join(words).strip())
    return None


def _by_lsof(port: int) -> Holder | None:
    try:
        answer = subprocess.run(
            ["lsof", "-nP", f"-iTCP:{port}", "-Fpc"], capture_output=True, text=True, timeout=5, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    fields = {line[:1]: line[1:] for line in reversed(answer.splitlines())}
    return Holder(int(fields["p"]), fields["c"]) if {"p", "c"} <= fields.keys() else None

"""What no kernel limit counts: the memory and the processes of a whole tree, and the disk it fills."""

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator

import attrs

from archestra_gateway.schemas.permissions import Limits

INTERVAL = 1.0
DISK_SHARE = 50
"""Looking through a folder takes at most this fraction of the time."""
MOST_FILES = 200_000
PAGE = os.sysconf("SC_PAGE_SIZE")


@attrs.frozen
class Bounds:
    """`home` is the folder whose size counts against `limits.disk`."""

    limits: Limits
    home: str


async def exceeded(pid: int, bounds: Bounds) -> str:
    """Waits, as long as the child keeps within its bounds; then a sentence about the one that it broke."""
    next_look = time.monotonic()
    while True:
        await asyncio.sleep(INTERVAL)
        if sentence := tree_exceeds(pid, bounds.limits):
            return sentence
        if (now := time.monotonic()) >= next_look:
            if await asyncio.to_thread(is_full, bounds.home, bounds.limits.disk):
                return f"it filled more than the {bounds.limits.disk} bytes of `limits.disk`"
            next_look = time.monotonic() + (time.monotonic() - now) * DISK_SHARE


def tree_exceeds(pid: int, limits: Limits) -> str | None:
    members = list(tree(pid))
    if len(members) > limits.processes:
        return f"it started more than the {limits.processes} processes of `limits.processes`"
    if sum(map(own_memory, members)) > limits.memory:
        return f"it used more than the {limits.memory} bytes of `limits.memory`"
    return None


def tree(pid: int) -> Iterator[int]:
    """A process and all that came from it; Linux tells, elsewhere it is the process alone."""
    yield pid
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                children = file.read().split()
            for child in children:
                yield from tree(int(child))


def own_memory(pid: int) -> int:
    """Resident bytes that are not shared with a file or another process."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            _, resident, shared, *_ = map(int, file.read().split())
    except OSError:
        return 0
    return (resident - shared) * PAGE


def is_full(folder: str, most: int) -> bool:
    """More than `most` bytes, or more files than anybody needs."""
    used = 0
    for count, entry in enumerate(_entries(folder)):
        with contextlib.suppress(OSError):
            used += entry.stat(follow_symlinks=False).st_blocks * 512
        if used > most or count > MOST_FILES:
            return True
    return False


def _entries(folder: str) -> Iterator["os.DirEntry[str]"]:
    waiting = [folder]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def prefer_for_killing(pid: int) -> None:
    """When the machine runs out of memory, the child goes before the gateway or a person's programs."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/oom_score_adj", "w") as file:
        file.write("900")

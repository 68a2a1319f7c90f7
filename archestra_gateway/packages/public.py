"""The public registries, as npm and pip themselves know them: who names none means these."""

import os
import shutil
import subprocess
from functools import cache
from urllib.parse import urlsplit

from pip._internal.models.index import PyPI, TestPyPI

INDEX: str = PyPI.simple_url
FILE_HOSTS: dict[str, str] = {index.netloc: index.file_storage_domain for index in (PyPI, TestPyPI)}
"""Where they keep their files."""

NOWHERE = os.path.join(os.devnull, "npmrc")
TIMEOUT = 20.0


@cache
def npm_registry(npm: tuple[str, ...]) -> str | None:
    """npm's own, whatever the settings here say; None when it does not tell. Blocking, for 0.3 s at first."""
    files = {"npm_config_userconfig": NOWHERE, "npm_config_globalconfig": f"{NOWHERE}-global"}
    env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": os.devnull, **files}
    try:
        told = subprocess.run(
            [*npm, "config", "get", "registry"],
            env=env,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    url = told.stdout.strip()
    return url if urlsplit(url).hostname else None


def is_public(ecosystem: str, url: str) -> bool:
    """Without an npm to ask, yes: only this machine's own registry is ever used anyway. Blocking."""
    if ecosystem == "pypi":
        return url.rstrip("/") in (PyPI.url.rstrip("/"), INDEX)
    npm = shutil.which("npm")
    registry = npm_registry((npm,)) if npm else None
    return registry is None or url.rstrip("/") == registry.rstrip("/")

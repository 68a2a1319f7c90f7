"""What an installation consists of, as a lock says it, and how two of them differ."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import attrs


@attrs.frozen
class Locked:
    """A package with its exact version, and the hashes one of which its file must have."""

    name: str
    version: str
    hashes: tuple[str, ...] = ()


@attrs.frozen
class Lock:
    """`text` is package-lock.json, or requirements.txt with hashes; `python` is the interpreter it is for."""

    text: str = attrs.field(repr=False)
    version: str
    packages: tuple[Locked, ...]
    python: str | None = None

    @property
    def sha256(self) -> str:
        return _hashed(self.text)

    @property
    def plan(self) -> str:
        """What names a lock that somebody has seen."""
        return _hashed(json.dumps([attrs.astuple(package) for package in self.packages]))[:16]


@attrs.frozen
class Program:
    """`script` in the folder; `runner` is `node`, `python` (the folder's own), or None: the script itself."""

    script: str
    runner: str | None

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Program":
        return cls(**stored)


@attrs.frozen
class Change:
    """`before` or `after` is None where it came or went."""

    name: str
    before: str | None
    after: str | None


def changes(before: Iterable[Locked], after: Iterable[Locked]) -> list[Change]:
    """By name; several versions of one package are told as one."""
    old, new = _versions(before), _versions(after)
    return [
        Change(name, old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _versions(packages: Iterable[Locked]) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for package in packages:
        found.setdefault(package.name, set()).add(package.version)
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}

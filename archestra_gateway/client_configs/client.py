"""What a row of the client table says."""

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from archestra_gateway.client_configs.formats import Format
from archestra_gateway.client_configs.machine import Platform
from archestra_gateway.client_configs.section import Section

Entry = Mapping[str, Any]
"""An entry as the client wants it; `$name`, `$url`, `$headers`, `$command`, `$args`, `$argv` get filled."""

Templates = Mapping[Platform, tuple[str, ...]]
"""Paths with Machine's placeholders and `*`; the first that exists counts, else the first with a folder."""


def everywhere(*templates: str) -> Templates:
    return {"linux": templates, "macos": templates, "windows": templates}


@attrs.frozen
class Instance:
    """One installation of a client that has a file of its own; with `each`, every match of `*` is one.

    `markers` are what only an installed client has (without any, the folder of its file); `commands` are
    looked up on PATH; `calls_itself` is there where it does so otherwise than the client's other instances.
    """

    suffix: str
    title: str
    files: Templates
    each: bool = False
    markers: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    calls_itself: tuple[str, ...] = ()


@attrs.frozen
class Client:
    """A program that is connected by writing into its file; `http` is None when it can only start programs.

    `new_file` is what a file of this client needs besides servers; `bare_url` is what a `url` without a type
    means; `own_command` is a program of the client that adds servers. `calls_itself` are the names that it
    gives in its messages (`clientInfo.name`), or patterns of them.
    """

    id: str
    title: str
    instances: tuple[Instance, ...]
    form: Format
    section: Section
    http: Entry | None
    stdio: Entry
    new_file: str = ""
    bare_url: Literal["http", "sse"] = "http"
    own_command: str | None = None
    must_be_quit: bool = False
    notes: tuple[str, ...] = ()
    calls_itself: tuple[str, ...] = ()


@attrs.frozen
class Snippet:
    """A client whose settings are typed in: what to paste, and where; `path` wraps the entry."""

    id: str
    title: str
    where: str
    path: tuple[str, ...]
    entry: Entry

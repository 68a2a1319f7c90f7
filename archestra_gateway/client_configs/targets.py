"""The client table laid over one machine: which files there are, and what is installed."""

import glob
from collections.abc import Iterator
from pathlib import Path

import attrs

from archestra_gateway.client_configs.client import Client, Instance
from archestra_gateway.client_configs.machine import Machine
from archestra_gateway.client_configs.table import CLIENTS


@attrs.frozen
class Target:
    """One file of one client; `name` is how people and the API call it."""

    name: str
    title: str
    client: Client
    path: Path
    is_installed: bool


def targets(machine: Machine, clients: tuple[Client, ...] = CLIENTS) -> list[Target]:
    """Every file that can be connected on this machine, installed clients or not."""
    return [
        target
        for client in clients
        for instance in client.instances
        for target in _of(machine, client, instance)
    ]


def _of(machine: Machine, client: Client, instance: Instance) -> Iterator[Target]:
    title = f"{client.title} ({instance.title})" if _names_another(client, instance) else client.title
    templates = instance.files[machine.platform]
    if not instance.each:
        path = _file(machine, templates)
        yield Target(client.id + instance.suffix, title, client, path, _is_installed(machine, instance, path))
        return
    for template in templates:
        before = machine.path(template.split("*")[0])
        for path in _matches(machine, template):
            key = path.relative_to(before).parts[0]
            yield Target(
                f"{client.id}{instance.suffix}-{key}", f"{title[:-1]} {key})", client, path, is_installed=True
            )


def _names_another(client: Client, instance: Instance) -> bool:
    return instance.title not in ("", client.title)


def _file(machine: Machine, templates: tuple[str, ...]) -> Path:
    """The first that exists; else the first whose folder exists; else the last that is a plain path."""
    candidates = [path for template in templates for path in _matches(machine, template)]
    for path in candidates:
        if path.exists():
            return path
    for path in candidates:
        if path.parent.is_dir():
            return path
    return next(path for path in candidates)


def _matches(machine: Machine, template: str) -> list[Path]:
    """The paths that a template stands for; behind a `*` only those whose folder exists."""
    head, star, tail = template.partition("*")
    if not star:
        return [machine.path(template)]
    folder, _, start = head.rpartition("/")
    within, _, file = f"{start}*{tail}".rpartition("/")
    found = glob.glob(within, root_dir=machine.path(folder))
    return [machine.path(folder) / match / file for match in sorted(found)]


def _is_installed(machine: Machine, instance: Instance, path: Path) -> bool:
    if any(machine.which(command) for command in instance.commands):
        return True
    if instance.markers:
        return any(machine.path(marker).exists() for marker in instance.markers)
    return path.parent.is_dir()

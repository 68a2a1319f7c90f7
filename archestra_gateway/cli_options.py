"""What the verbs of the command line share: which daemon is meant, and how it is found."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from archestra_gateway import config_sources
from archestra_gateway.config_sources import Loaded
from archestra_gateway.daemon import instance
from archestra_gateway.daemon.exit_code import CommandError, ExitCode
from archestra_gateway.daemon.instance import Instance

PROGRAM = "archestra-gateway"

Command = Callable[..., Any]


def located(command: Command) -> Command:
    """The flags that say which daemon is meant."""
    for option in (
        click.option("--data-dir", type=click.Path(path_type=Path), help="The data directory of the daemon."),
        click.option(
            "--config", type=click.Path(path_type=Path), help="Configuration file (see `config path`)."
        ),
    ):
        command = option(command)
    return command


def load(config: Path | None, data_dir: Path | None, flags: dict[str, Any] | None = None) -> Loaded:
    return config_sources.load(data_dir_flag(data_dir) | (flags or {}), os.environ, config)


def data_dir_flag(data_dir: Path | None) -> dict[str, Any]:
    return {"server.data_dir": data_dir and data_dir.expanduser().absolute()}


def running(loaded: Loaded) -> Instance:
    """Raises CommandError when there is none."""
    data_dir = loaded.config.server.data_dir
    found = instance.running(data_dir)
    if found is None:
        raise CommandError(
            f"not running on {data_dir}. Start it with `{PROGRAM} serve`.", ExitCode.NOT_RUNNING
        )
    return found

"""What the verbs of the command line share: which daemon is meant, how it is found, asked and quoted."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from archestra_gateway import config_sources
from archestra_gateway.config_sources import Loaded
from archestra_gateway.daemon import client, instance
from archestra_gateway.daemon.exit_code import CommandError, ExitCode
from archestra_gateway.daemon.instance import Instance
from archestra_gateway.services.token import load_token

PROGRAM = "archestra-gateway"

Command = Callable[..., Any]
Ask = Callable[..., Any]


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


def asking(command: Command) -> Command:
    """The flags of verbs that ask the daemon."""
    return located(click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")(command))


def asker(config: Path | None, data_dir: Path | None, route: str, timeout: float) -> Ask:
    """ask(method, path, body) → what the daemon's JSON says. Raises CommandError with its sentence."""
    loaded = load(config, data_dir)
    found = running(loaded)
    token = load_token(loaded.config.server.data_dir)

    def ask(method: str, path: str, body: Any = None) -> Any:
        for address in found.addresses:
            if answer := client.ask(address, method, route + path, body, token=token, timeout=timeout):
                if answer.is_error:
                    raise CommandError(_sentence(answer.data))
                return answer.data
        raise CommandError(f"running ({found}), but it does not answer. Ask again in a moment.")

    return ask


def _sentence(body: Any) -> str:
    return f"{body['error']['message']}."


def print_lines(lines: Iterable[str], *, err: bool = False) -> None:
    for line in lines:
        click.echo(line, err=err)


def print_json(data: Any) -> None:
    click.echo(json.dumps(data, indent=2))

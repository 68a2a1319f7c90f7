"""The verbs of the embedded model."""

import contextlib
import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import Any

import click

from archestra_gateway.cli_options import PROGRAM, load, located


@click.group()
def embedded() -> None:
    """Look after the small model that runs inside the gateway, where there is no Ollama."""


@embedded.command()
@located
def install(config: Path | None, data_dir: Path | None) -> None:
    """Bring SmolLM2-135M-Instruct (Apache-2.0, 98 MB), a demonstration model, into the data directory.

    It may be interrupted and run again.
    """
    server = load(config, data_dir).config.server
    from archestra_gateway.daemon import embedded as model
    from archestra_gateway.providers.embedded import LIBRARY
    from archestra_gateway.services import data_dir as directories

    directories.prepare(server.data_dir)
    target = server.demonstration_model
    with contextlib.ExitStack() as ends:

        @cache
        def bar(total: int) -> Any:
            return ends.enter_context(click.progressbar(length=total, label="Unpacking", file=sys.stderr))

        is_new = model.install(target, lambda written, total: bar(total).update(written))
    click.echo(f"{'Installed' if is_new else 'Already there:'} {target}")
    if importlib.util.find_spec(LIBRARY) is None:
        click.echo(f"It is run by the package {LIBRARY}, which is missing here: pip install {LIBRARY}")
    else:
        click.echo(f"`{PROGRAM} serve` answers chats with it when Ollama is not running.")

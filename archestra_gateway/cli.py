"""The command line. Every verb but `serve` stays clear of aiohttp and mcp, so that it answers at once."""

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import attrs
import click

from archestra_gateway import __version__, settings
from archestra_gateway.cli_catalog import catalog
from archestra_gateway.cli_clients import clients
from archestra_gateway.cli_embedded import embedded
from archestra_gateway.cli_options import PROGRAM, data_dir_flag, load, located, running
from archestra_gateway.cli_packages import packages
from archestra_gateway.cli_tools import tools
from archestra_gateway.config_sources import ConfigError, Loaded, path_of
from archestra_gateway.daemon import instance
from archestra_gateway.daemon.exit_code import CommandError, ExitCode
from archestra_gateway.daemon.instance import Instance
from archestra_gateway.errors import GatewayError
from archestra_gateway.services.data_dir import DataDirError
from archestra_gateway.services.token import limited_token, load_token, rotate_token

STOP_PAUSE = 0.05


def main() -> None:
    """A refusal is a sentence and an exit code, never a traceback."""
    try:
        cli(prog_name=PROGRAM)
    except ConfigError as error:
        _fail(ExitCode.CONFIG, *error.problems)
    except DataDirError as error:
        _fail(ExitCode.DATA_DIR, str(error))
    except CommandError as error:
        _fail(error.code, str(error))
    except GatewayError as error:
        _fail(ExitCode.FAILED, error.message)


def _fail(code: ExitCode, *sentences: str) -> None:
    for sentence in sentences:
        click.echo(f"{PROGRAM}: {sentence}", err=True)
    sys.exit(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name=PROGRAM)
def cli() -> None:
    """The local gateway between a person's AI and the world: MCP servers, LLM providers, one request log.

    Start it with `serve`; the other commands look after it.
    """


@cli.command()
@located
@click.option("--port", type=click.IntRange(0, 65535), help="TCP port; 0 takes a free one and says which.")
@click.option("--bind", multiple=True, help="Address to listen on; may be given more than once.")
@click.option("--base-url", help="The URL clients know.")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="How much to log."
)
@click.option("--exit-with-parent", is_flag=True, help="Stop when the process that started this one ends.")
def serve(
    config: Path | None,
    data_dir: Path | None,
    port: int | None,
    bind: tuple[str, ...],
    base_url: str | None,
    log_level: str | None,
    exit_with_parent: bool,
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C.

    Once it listens, it writes one line of JSON, {"listening": {…}}, to stdout, if the port was 0 or stdout is
    not a terminal. Logs go to stderr.
    """
    parent = os.getppid() if exit_with_parent else None
    flags = {
        "server.port": port,
        "server.bind": bind or None,
        "server.base_url": base_url,
        "log.level": log_level,
    }
    loaded = load(config, data_dir, flags)
    from archestra_gateway.daemon.run import run  # aiohttp and everything else

    run(loaded.config, os.environ, parent, loaded.named)


@cli.command()
@located
@click.option("--json", "as_json", is_flag=True, help="Print what the daemon says about itself as JSON.")
def status(config: Path | None, data_dir: Path | None, as_json: bool) -> None:
    """Say whether the gateway runs, and where.

    Exits with 3 when it does not.
    """
    loaded = load(config, data_dir)
    found = running(loaded)
    answer = _ask(found, loaded)
    if as_json:
        click.echo(json.dumps({"instance": attrs.asdict(found), "status": answer}, indent=2))
        return
    click.echo(f"{PROGRAM} is running ({found}).")
    click.echo(f"Listening on {', '.join(found.addresses)} since {found.started_at}.")
    click.echo(f"Data in {found.data_dir}.")


def _ask(found: Instance, loaded: Loaded) -> dict[str, Any]:
    from archestra_gateway.daemon import client  # http.client is half of what the other verbs need

    token = load_token(loaded.config.server.data_dir)
    if not found.addresses:
        raise CommandError(f"starting (pid {found.pid}); ask again in a moment.")
    for address in found.addresses:
        if answer := client.status(address, token):
            return answer
    raise CommandError(f"running ({found}), but it does not answer. `{PROGRAM} stop` ends it.")


@cli.command()
@located
@click.option("--timeout", default=15.0, show_default=True, help="Seconds to wait for its end.")
def stop(config: Path | None, data_dir: Path | None, timeout: float) -> None:
    """Stop the gateway and wait until it has ended. Nothing to stop is no failure."""
    directory = load(config, data_dir).config.server.data_dir
    found = instance.running(directory)
    if found is None:
        click.echo(f"{PROGRAM} is not running on {directory}.")
        return
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        os.kill(found.pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while instance.running(directory) is not None:
        if time.monotonic() > deadline:
            raise CommandError(
                f"still running ({found}) after {timeout:g} seconds. `kill -9 {found.pid}` ends it."
            )
        time.sleep(STOP_PAUSE)
    click.echo(f"Stopped (pid {found.pid}).")


@cli.command()
@located
@click.option(
    "--rotate", is_flag=True, help="Make a new one; the running gateway takes it at its next start."
)
@click.option("--limited", is_flag=True, help="Print one that lets a program in, and administer nothing.")
def token(config: Path | None, data_dir: Path | None, rotate: bool, limited: bool) -> None:
    """Print the bearer token that lets a program do everything."""
    directory = load(config, data_dir).config.server.data_dir
    whole = rotate_token(directory) if rotate else load_token(directory)
    click.echo(limited_token(whole) if limited else whole)


cli.add_command(catalog)
cli.add_command(clients)
cli.add_command(embedded)
cli.add_command(packages)
cli.add_command(tools)


@cli.command("mcp-stdio")
@located
@click.option("--server", help="One MCP server, instead of all of them under one address.")
@click.option("--client", help="The name that the client has with the gateway, for the request log.")
def mcp_stdio(config: Path | None, data_dir: Path | None, server: str | None, client: str | None) -> None:
    """Speak MCP over stdio, for clients that only start programs.

    Finds the gateway by its data directory, and starts it when it is not running.
    """
    directory = load(config, data_dir).config.server.data_dir
    from archestra_gateway.bridge.gateway import Gateway, path_to
    from archestra_gateway.bridge.run import run

    flags = () if config is None else ("--config", str(config.expanduser().absolute()))
    command = (sys.executable, "-m", "archestra_gateway", "serve", "--data-dir", str(directory), *flags)
    run(Gateway(directory, command), path_to(server), client)


@cli.group()
def secrets() -> None:
    """Look after what is stored encrypted: keys, tokens, secret values of servers."""


@secrets.command()
@located
def rotate_key(config: Path | None, data_dir: Path | None) -> None:
    """Encrypt everything that is stored with a new key. It may be killed at any moment and run again."""
    loaded = load(config, data_dir)
    from archestra_gateway.daemon import rotate  # the database and the cryptography

    count, place = rotate.rotate_key(loaded.config)
    click.echo(f"Sealed {count} stored values with a new key ({place}).")


@cli.group()
def config() -> None:
    """See what is set, and by whom.

    Flags win over the environment, that over the file, that over the defaults.
    """


@config.command()
@located
def check(config: Path | None, data_dir: Path | None) -> None:
    """Check the configuration; every fault is named with its place. Exits with 78 when there is one."""
    loaded = load(config, data_dir)
    where = loaded.path if loaded.found else f"no file at {loaded.path}, so defaults and environment"
    click.echo(f"The configuration is valid ({where}).")


@config.command()
@located
def show(config: Path | None, data_dir: Path | None) -> None:
    """Print every effective value and where it came from."""
    loaded = load(config, data_dir)
    lines = [
        (f"{key} = {settings.toml(settings.value_of(loaded.config, key))}", origin)
        for key, origin in loaded.origins.items()
    ]
    width = max(len(line) for line, _ in lines)
    for line, origin in lines:
        click.echo(f"{line:<{width}}  # {origin}")


@config.command()
@click.option("--config", type=click.Path(path_type=Path), help="Configuration file.")
def path(config: Path | None) -> None:
    """Print the path of the configuration file, whether it is there or not."""
    click.echo(path_of(config, os.environ))


@config.command()
def example() -> None:
    """Print a configuration file with every setting, its default and what it is for."""
    click.echo(settings.example(), nl=False)


@cli.command()
@located
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(config: Path | None, data_dir: Path | None, as_json: bool) -> None:
    """Find what keeps the gateway from working.

    Says what to do about it, and exits with 1 when something is broken.
    """
    from archestra_gateway.daemon import doctor as checks  # its own, slower imports

    findings = checks.examine(data_dir_flag(data_dir), config, os.environ)
    if as_json:
        click.echo(json.dumps([attrs.asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            click.echo(str(finding))
    if any(finding.state == "fail" for finding in findings):
        sys.exit(ExitCode.FAILED)

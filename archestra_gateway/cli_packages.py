"""`archestra-gateway packages …`: what is installed for a server, and its update after a look."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from archestra_gateway.cli_options import Ask, asker, asking, print_json, print_lines
from archestra_gateway.daemon.exit_code import CommandError
from archestra_gateway.protocol.tool_definition import visible

ROUTE = "/api/mcp_server"
TIMEOUT = 300.0
INTERVAL = 0.3

Shown = Mapping[str, Any]


@click.group()
def packages() -> None:
    """See, install and update the packages that servers are."""


@packages.command()
@asking
@click.argument("server")
def show(config: Path | None, data_dir: Path | None, as_json: bool, server: str) -> None:
    """Show what is installed for a server, and what is really started."""
    shown = _asker(config, data_dir, server)("GET", "")
    if as_json:
        print_json(shown)
    else:
        print_lines(_lines(shown))


@packages.command()
@asking
@click.argument("server")
def install(config: Path | None, data_dir: Path | None, as_json: bool, server: str) -> None:
    """Install a server's package now, or again, in the very versions that it has."""
    ask = _asker(config, data_dir, server)
    ask("POST", "")
    finish(ask, as_json)


@packages.command()
@asking
@click.argument("server")
@click.option("--tools", is_flag=True, help="Try the new version first, and show how its tools differ.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def update(
    config: Path | None, data_dir: Path | None, as_json: bool, server: str, tools: bool, yes: bool
) -> None:
    """Show what an update would change, and do exactly that."""
    ask = _asker(config, data_dir, server)
    found = ask("POST", "/preview?tools=1" if tools else "/preview")
    if not found["changes"]:
        raise CommandError(f"nothing to update: {server} has the newest, {found['version']}.")
    print_lines(_changes(found), err=True)
    if not yes:
        click.confirm("Update?", abort=True, err=True)
    ask("POST", "/update", {"plan": found["plan"]})
    finish(ask, as_json)


def _asker(config: Path | None, data_dir: Path | None, server: str) -> Ask:
    return asker(config, data_dir, f"{ROUTE}/{quote(server, safe='')}/install", TIMEOUT)


def finish(ask: Ask, as_json: bool) -> None:
    """Tell how it goes, and how it ended."""
    told = ""
    while (shown := ask("GET", ""))["state"] == "installing":
        line = (
            f"{shown['step']} … {shown['done']}/{shown['total']}" if shown["total"] else f"{shown['step']} …"
        )
        if line != told:
            click.echo(line, err=True)
        told = line
        time.sleep(INTERVAL)
    if shown["error"]:
        print_lines(shown["lines"], err=True)
        raise CommandError(f"{shown['error']}.")
    if as_json:
        print_json(shown)
    else:
        print_lines(_lines(shown))


def _lines(shown: Shown) -> Iterator[str]:
    if shown["state"] == "not_needed":
        yield f"{shown['name']} is a program of this machine."
        return
    wanted = " ".join(shown["wanted"])
    yield f"{shown['name']}: {shown['state']}, {shown['ecosystem'] or ''} {wanted}".rstrip()
    if shown["error"]:
        yield f"  {shown['error']}"
    if shown["version"]:
        count = len(shown["packages"])
        yield f"  version {shown['version']}, {count} packages with hashes, since {shown['installed_at']}"
        yield f"  starts {' '.join(shown['command'])}"
    if shown["skipped_scripts"]:
        yield f"  scripts that were not run: {', '.join(shown['skipped_scripts'])}"


def _changes(found: Shown) -> Iterator[str]:
    yield f"{found['name']}: {found['version']} → {found['new_version']}"
    for change in found["changes"]:
        yield f"  {change['name']}: {change['before'] or 'new'} → {change['after'] or 'gone'}"
    for kind, names in (found["tools"] or {}).items():
        if names:
            yield f"  tools {kind}: {', '.join(map(visible, names))}"

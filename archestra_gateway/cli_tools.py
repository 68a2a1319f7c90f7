"""`archestra-gateway tools …`: what a server's tools say since somebody accepted them, and a person's yes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from archestra_gateway.cli_options import PROGRAM, Ask, asker, asking, print_json, print_lines
from archestra_gateway.daemon.exit_code import CommandError
from archestra_gateway.protocol.tool_definition import visible

ROUTE = "/api/mcp_server"
TIMEOUT = 30.0
KINDS = {"added": "is new", "changed": "has changed", "removed": "is not offered any more"}

Changes = Mapping[str, Any]


@click.group()
def tools() -> None:
    """See the new and changed tools of a server that are held back, and accept them."""


@tools.command()
@asking
@click.argument("server")
def changes(config: Path | None, data_dir: Path | None, as_json: bool, server: str) -> None:
    """Show how a server's tools differ from those that were accepted."""
    found = _asker(config, data_dir, server)("GET", "/changes")
    if as_json:
        print_json(found)
        return
    print_lines(_lines(found))
    if names := _names(found):
        click.echo(f"`{PROGRAM} tools accept {server}` accepts all {len(names)}, or those that it names.")
    else:
        click.echo(f"All tools of {server} are as they were accepted.")


@tools.command()
@asking
@click.argument("server")
@click.argument("names", nargs=-1)
@click.option("--yes", is_flag=True, help="Do not ask.")
def accept(
    config: Path | None, data_dir: Path | None, as_json: bool, server: str, names: tuple[str, ...], yes: bool
) -> None:
    """Accept what was shown: of the tools that are named, or of all."""
    ask = _asker(config, data_dir, server)
    found = ask("GET", "/changes")
    if not _names(found):
        raise CommandError(f"nothing to accept: all tools of {server} are as they were accepted.")
    if not yes:
        print_lines(_lines(_only(found, names)), err=True)
        click.confirm("Accept?", abort=True, err=True)
    left = ask("POST", "/accept", {"tools": list(names) or None, "revision": found["revision"]})
    if as_json:
        print_json(left)
    else:
        click.echo(f"Accepted. {len(_names(left))} more wait." if _names(left) else "Accepted.")


def _asker(config: Path | None, data_dir: Path | None, server: str) -> Ask:
    return asker(config, data_dir, f"{ROUTE}/{quote(server, safe='')}/tools", TIMEOUT)


def _names(found: Changes) -> list[str]:
    return [each["name"] for kind in KINDS for each in found[kind]]


def _only(found: Changes, names: tuple[str, ...]) -> Changes:
    return {kind: [each for each in found[kind] if not names or each["name"] in names] for kind in KINDS}


def _lines(found: Changes) -> Iterator[str]:
    for kind, sentence in KINDS.items():
        for each in found[kind]:
            yield f"{visible(each['name'])} {sentence}"
            for field in each["fields"]:
                yield f"  {visible(field['field'])}"
                yield from (f"    {line}" for line in field["diff"].splitlines())

"""`archestra-gateway clients …`: the daemon's `/api/external_mcp_client` in words."""

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from archestra_gateway.cli_options import PROGRAM, Ask, asker, asking, print_json, print_lines
from archestra_gateway.daemon.exit_code import CommandError

ROUTE = "/api/external_mcp_client"
TIMEOUT = 90.0
"""Seconds: a client's own program may be asked to do the work."""

Found = Mapping[str, Any]


@click.group()
def clients() -> None:
    """Connect other AI programs on this machine to the gateway, and undo it.

    Their configuration files are changed by exactly one entry; a backup is kept of each change.
    """


@clients.command("list")
@asking
@click.option("--all", "everything", is_flag=True, help="Also those that are not installed.")
def list_all(config: Path | None, data_dir: Path | None, as_json: bool, everything: bool) -> None:
    """List the programs that are installed or connected, and how their files are."""
    ask = _asker(config, data_dir)
    connected = {each["name"]: each for each in ask("GET", "")}
    supported = {each["name"]: each for each in ask("GET", "/supported")["clients"]}
    found = [
        {**each, "state": _state(each, connected.get(name))} for name, each in (supported | connected).items()
    ]
    shown = [each for each in found if everything or each["state"] != "not installed"]
    if as_json:
        print_json(shown)
        return
    width = max((len(each["name"]) for each in shown), default=0)
    for each in shown:
        click.echo(f"{each['name']:<{width}}  {each['state']:<13}  {each['path']}")
        if problem := connected.get(each["name"], {}).get("problem"):
            click.echo(f"{'':<{width}}  {problem}")
    if not shown:
        click.echo("No program that the gateway knows is installed; --all lists those that it knows.")


@clients.command()
@asking
@click.argument("name")
@click.option(
    "--mode", type=click.Choice(["gateway", "servers"]), help="One entry for all servers, or one for each."
)
@click.option("--server", "servers", multiple=True, help="Only this MCP server; may be given more than once.")
@click.option("--tool", "tools", multiple=True, help="Only this tool of /mcp, or those like `files__*`.")
@click.option("--path", help="The configuration file, where it is not in its usual place.")
@click.option("--format", help="What the file of a program that the gateway does not know is written in.")
def connect(config: Path | None, data_dir: Path | None, as_json: bool, name: str, **wanted: Any) -> None:
    """Write the gateway into a program's file, or repair what others changed there."""
    if wanted["path"]:
        wanted["path"] = str(Path(wanted["path"]).expanduser().absolute())
    given = {
        key: list(value) if key in ("servers", "tools") else value for key, value in wanted.items() if value
    }
    body = {"client_name": name, **({"config": given} if given else {})}
    connected = _asker(config, data_dir)("POST", "/connect", body)
    if as_json:
        print_json(connected)
        return
    entries = ", ".join(entry["name"] for entry in connected["entries"])
    click.echo(f"{connected['title']} is connected: {entries or 'nothing yet'} in {connected['path']}.")
    _print_notes(connected["notes"])
    click.echo(f"`{PROGRAM} clients disconnect {shlex.quote(name)}` undoes it.")


@clients.command()
@asking
@click.argument("name")
def disconnect(config: Path | None, data_dir: Path | None, as_json: bool, name: str) -> None:
    """Take out of a program's file exactly what was written."""
    ask = _asker(config, data_dir)
    ask("DELETE", f"{_place(name)}/disconnect")
    left = ask("GET", _place(name))
    if as_json:
        print_json(left)
    else:
        click.echo(f"{left['title']} is disconnected; {left['path']} has nothing of the gateway.")


@clients.command()
@asking
@click.argument("name")
@click.option(
    "--disconnect", "operation", flag_value="disconnect", default="connect", help="Of disconnecting."
)
def preview(config: Path | None, data_dir: Path | None, as_json: bool, name: str, operation: str) -> None:
    """Show what connecting would change, and change nothing."""
    body = {"client_name": name, "operation": operation}
    shown = _asker(config, data_dir)("POST", "/preview", body)
    if as_json:
        print_json(shown)
        return
    if shown["command"]:
        click.echo(f"This command is run: {' '.join(shown['command'])}\nIt should come to this:")
    click.echo(shown["difference"] or f"Nothing would change in {shown['path']}.\n", nl=False)
    _print_notes(shown["notes"])


@clients.command()
@asking
@click.argument("name")
@click.option("--backup", help="Which one; without it, the newest.")
@click.option("--list", "only_list", is_flag=True, help="List the backups, and bring none back.")
def restore(
    config: Path | None, data_dir: Path | None, as_json: bool, name: str, backup: str | None, only_list: bool
) -> None:
    """Bring a program's file back as it was before a change."""
    ask = _asker(config, data_dir)
    if only_list:
        backups = ask("GET", f"{_place(name)}/backups")
        print_json(backups) if as_json else print_lines(f"{each['id']}  {each['size']} B" for each in backups)
        return
    restored = ask("POST", f"{_place(name)}/restore", {"backup": backup})
    if as_json:
        print_json(restored)
    else:
        state = "connected" if restored["is_connected"] else "not connected"
        click.echo(f"{restored['path']} is as it was; {restored['title']} is {state}.")


@clients.command("import")
@asking
@click.argument("name")
@click.argument("servers", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every server that can be imported.")
@click.option("--replace", is_flag=True, help="Replace them in the program's file by the gateway.")
def bring_in(
    config: Path | None,
    data_dir: Path | None,
    as_json: bool,
    name: str,
    servers: tuple[str, ...],
    everything: bool,
    replace: bool,
) -> None:
    """Bring MCP servers of a program's file into the gateway; without a server, list them."""
    ask = _asker(config, data_dir)
    chosen = list(servers)
    if everything or not chosen:
        found = ask("GET", f"{_place(name)}/servers")
        chosen = [each["name"] for each in found if everything and not each["problem"]]
        if not chosen:
            print_json(found) if as_json else print_lines(map(_described, found))
            if not (found or as_json):
                click.echo(f"There are no servers in the file of {name}.")
            return
    result = ask("POST", f"{_place(name)}/import", {"servers": chosen, "replace": replace})
    failed = [each for each in result["servers"] if each["problem"]]
    if as_json:
        print_json(result)
    else:
        print_lines(
            f"{each['found']}: {each['problem'] or 'imported as ' + each['name']}"
            for each in result["servers"]
        )
    if failed:
        raise CommandError(f"{len(failed)} of {len(chosen)} servers were not imported.")


def _asker(config: Path | None, data_dir: Path | None) -> Ask:
    return asker(config, data_dir, ROUTE, TIMEOUT)


def _place(name: str) -> str:
    return f"/{quote(name, safe='')}"


def _state(supported: Found, known: Found | None) -> str:
    if known and known["is_connected"]:
        return "changed" if known["is_drifted"] else "connected"
    return "installed" if supported["is_installed"] else "not installed"


def _described(server: Found) -> str:
    place = server["url"] or " ".join((server["command"], *server["args"]))
    return f"{server['name']}: {server['problem'] or place}"


def _print_notes(notes: Iterable[str]) -> None:
    print_lines(f"Note: {note}" for note in notes)

"""`archestra-gateway catalog …`: the daemon's `/api/mcp_server/catalog` in words."""

import json
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import click

from archestra_gateway.cli_options import PROGRAM, Ask, asker, asking, print_json, print_lines
from archestra_gateway.cli_packages import finish
from archestra_gateway.daemon.exit_code import CommandError

ROUTE = "/api/mcp_server"
TIMEOUT = 900.0
"""Seconds: as long as reading the whole registry may take."""
BUNDLES = (".mcpb", ".dxt")
VARIANTS = ("stdio", "npm", "pypi", "mcpb", "http")

Server = Mapping[str, Any]


@click.group()
def catalog() -> None:
    """Find MCP servers, see what they would be started with and granted, and install them."""


@catalog.command()
@asking
@click.argument("words", nargs=-1)
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="How many to list.")
@click.option("--source", type=click.Choice(["builtin", "registry"]), help="Only of this list.")
def search(
    config: Path | None,
    data_dir: Path | None,
    as_json: bool,
    words: tuple[str, ...],
    limit: int,
    source: str | None,
) -> None:
    """List the servers in which all of the words stand; without words, all."""
    wanted = {"search": " ".join(words), "page_size": limit, **({"source": source} if source else {})}
    page = _asker(config, data_dir)("GET", f"/catalog?{urlencode(wanted)}")
    if as_json:
        print_json(page)
        return
    width = max((len(each["id"]) for each in page["data"]), default=0)
    print_lines(f"{each['id']:<{width}}  {each['problem'] or each['description']}" for each in page["data"])
    if page["total"] > len(page["data"]):
        click.echo(f"… and {page['total'] - len(page['data'])} more; more words, or --limit, find them.")
    _print_registry(page["registry"])


@catalog.command()
@asking
@click.argument("server")
@click.option("--variant", type=click.Choice(VARIANTS), help="One of the ways in which it can be used.")
def show(config: Path | None, data_dir: Path | None, as_json: bool, server: str, variant: str | None) -> None:
    """Show what a server would be started with and granted, and what it asks for."""
    query = f"?variant={variant}" if variant else ""
    found = _asker(config, data_dir)("GET", f"/catalog/{quote(server, safe='')}{query}")
    if as_json:
        print_json(found)
        return
    click.echo(f"{found['title']}: {found['description']}")
    print_lines(f"  {name:<8}  {_visible(text)}" for name, text in _facts(found))
    print_lines(f"  asks for  {_asked(field)}" for field in found["fields"])


@catalog.command()
@asking
@click.argument("what")
@click.option("--name", help="How the server shall be called.")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME=VALUE",
    help="An answer; NAME=@FILE reads it from a file. May be given more than once.",
)
@click.option("--variant", type=click.Choice(VARIANTS), help="One of the ways in which it can be used.")
@click.option("--yes", is_flag=True, help="Install what is shown without asking.")
@click.option("--later", is_flag=True, help="Bring the server's package when the server is first used.")
def install(
    config: Path | None,
    data_dir: Path | None,
    as_json: bool,
    what: str,
    name: str | None,
    inputs: tuple[str, ...],
    variant: str | None,
    yes: bool,
    later: bool,
) -> None:
    """Install a server, after a look at its command and permissions.

    WHAT is an id of the catalog, an .mcpb or .dxt file, a server.json or another program's configuration ("-"
    reads it from stdin), an address, or a command line in quotes.
    """
    ask = _asker(config, data_dir)
    path, body = _order(ask, what)
    body |= {"name": name} if name else {}
    body |= {"variant": variant} if variant else {}
    given = _given(inputs)
    answer = ask("POST", path, {**body, "inputs": given})
    if answer["state"] == "needs_input" and not as_json:
        given |= _typed_in(answer["servers"])
        answer = ask("POST", path, {**body, "inputs": given})
    if answer["state"] == "preview":
        if not as_json:
            print_lines(line for server in answer["servers"] for line in _planned(server))
        if yes or (not as_json and _agrees()):
            answer = ask("POST", path, {**body, "inputs": given, "confirm": answer["confirm"]})
    if as_json:
        print_json(answer)
    _end(answer, as_json)
    for server in answer["servers"]:
        if server["server"] and not later:
            _bring(ask, server["name"], as_json)


@catalog.command()
@asking
def refresh(config: Path | None, data_dir: Path | None, as_json: bool) -> None:
    """Ask the public registry for what is new."""
    state = _asker(config, data_dir)("POST", "/catalog/refresh")
    if as_json:
        print_json(state)
    else:
        click.echo(f"{state['servers']} servers of {state['url']}.")


def _asker(config: Path | None, data_dir: Path | None) -> Ask:
    return asker(config, data_dir, ROUTE, TIMEOUT)


def _order(ask: Ask, what: str) -> tuple[str, dict[str, Any]]:
    """Where to send it, and what it is called there."""
    file = Path(os.path.expanduser(what))
    if what == "-":
        return "/import", _document(sys.stdin.read())
    if os.path.isfile(file):
        if file.suffix.lower() in BUNDLES:
            return "/import", {"bundle": ask("POST", "/catalog/bundle", file.read_bytes())["bundle"]}
        return "/import", _document(file.read_text("utf-8-sig"))
    if what.startswith(("http://", "https://")):
        return "/import", {"url": what}
    if len(what.split()) > 1:
        return "/import", {"command": what}
    return "/catalog/install", {"mcp_connector_id": what}


def _document(text: str) -> dict[str, Any]:
    """A server.json has packages or remotes; everything else is some program's configuration."""
    try:
        data = json.loads(text)
    except ValueError:
        return {"config": text}
    is_server = isinstance(data, dict) and bool({"packages", "remotes", "server"} & data.keys())
    return {"server_json": data} if is_server else {"config": text}


def _given(inputs: Iterable[str]) -> dict[str, Any]:
    """A name that is given several times has several values."""
    found: dict[str, list[str]] = {}
    for text in inputs:
        name, separator, value = text.partition("=")
        if not separator:
            raise CommandError(f"--input {text} must be NAME=VALUE.")
        if value.startswith("@"):
            value = Path(value[1:]).expanduser().read_text().rstrip("\r\n")
        found.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in found.items()}


def _typed_in(servers: Iterable[Server]) -> dict[str, Any]:
    """What a person types at the terminal. Raises CommandError where there is none."""
    missing = {
        field["name"]: field
        for server in servers
        for field in server["fields"]
        if field["name"] in server["missing"]
    }
    if not sys.stdin.isatty():
        asked = "\n".join(f"  {_asked(field)}" for field in missing.values())
        raise CommandError(f"something is missing; give it with --input NAME=VALUE:\n{asked}")
    return {name: _prompted(field) for name, field in missing.items()}


def _prompted(field: Server) -> Any:
    click.echo(field["description"])
    title = f"{field['title']} (separated by commas)" if field["multiple"] else field["title"]
    choices = click.Choice(field["choices"]) if field["choices"] else None
    text = click.prompt(title, hide_input=field["secret"], default=field["default"], type=choices)
    return [part.strip() for part in text.split(",")] if field["multiple"] else text


def _agrees() -> bool:
    if not sys.stdin.isatty():
        raise CommandError("nothing was installed; --yes installs what is shown.")
    return click.confirm("Install?")


def _end(answer: Mapping[str, Any], as_json: bool) -> None:
    """Raises CommandError when it did not come to what was asked for."""
    if answer["state"] == "installed" and not as_json:
        for server in answer["servers"]:
            if server["server"]:
                click.echo(f"{server['name']} is added.")
    elif answer["state"] == "preview" and not as_json:
        click.echo("Nothing was installed.")
    missing = [name for each in answer["servers"] for name in each["missing"]]
    if missing:
        raise CommandError(f"something is still missing: {', '.join(missing)}.")
    problems = [f"{each['name']}: {each['problem']}." for each in answer["servers"] if each["problem"]]
    if problems:
        raise CommandError("\n".join(problems))


def _bring(ask: Ask, name: str, as_json: bool) -> None:
    """Install the package of a server whose command is one; who reads JSON need not wait for it."""
    place = f"/{name}/install"
    if ask("GET", place)["state"] == "missing":
        ask("POST", place)
        if not as_json:
            finish(lambda method, path: ask(method, place + path), as_json)


def _planned(server: Server) -> Iterator[str]:
    yield f"{server['name']}: {server['title']}"
    if server["problem"] is not None:
        yield f"  problem   {server['problem']}"
        return
    config, permissions = server["server_config"], server["permissions"]
    shown = {
        "command": [config["command"], *config["args"]] if config["transport"] == "stdio" else [],
        "env": [f"{name}={value}" for name, value in config.get("env", {}).items()],
        "url": config.get("url"),
        "headers": [f"{name}: {value}" for name, value in config.get("headers", {}).items()],
        "secrets": server["secrets"],
        "notes": server["notes"],
        **permissions,
    }
    yield from (f"  {name:<8}  {_visible(text)}" for name, text in _facts(shown))


def _visible(text: str) -> str:
    """Nothing that a terminal would obey."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _facts(shown: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if shown.get("problem"):
        yield "problem", shown["problem"]
    if shown["url"]:
        yield "connects", shown["url"]
        yield from (("sends", header) for header in shown["headers"])
    if shown["command"]:
        yield "runs", shlex.join(shown["command"])
        yield from (("with", variable) for variable in shown["env"])
        yield from (("reads", folder) for folder in shown["read_only"])
        yield from (("changes", folder) for folder in shown["read_write"])
        network = ["the whole network"] if shown["whole_network"] else shown["hosts"]
        yield from (("reaches", host) for host in network or ["nothing on the network"])
    if shown.get("local_sockets"):
        yield "makes", "sockets of this machine, as browsers do"
    yield from (("stores", f"the secret {name}") for name in shown.get("secrets", ()))
    yield from (("note", note) for note in shown["notes"])


def _asked(field: Server) -> str:
    words = [] if field["required"] else ["optional"]
    words += [field["type"]] if field["type"] != "text" else []
    words += ["secret"] if field["secret"] else []
    words += ["one or more"] if field["multiple"] else []
    words += [f"one of {', '.join(field['choices'])}"] if field["choices"] else []
    words += [f"default {field['default']}"] if field["default"] else []
    about = f"{field['name']}: {field['description'] or field['title']}"
    return f"{about} ({', '.join(words)})" if words else about


def _print_registry(state: Mapping[str, Any]) -> None:
    if state["problem"]:
        click.echo(f"Note: {state['problem']}; the list is of {state['refreshed_at'] or 'before'}.", err=True)
    elif state["url"] and not state["refreshed_at"]:
        click.echo(
            f"Note: {state['url']} is being read now; `{PROGRAM} catalog refresh` waits for it.",
            err=True,
        )

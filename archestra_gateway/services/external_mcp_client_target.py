"""Between what is known of a client and what the writing needs: which file, which entries."""

import sys
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import attrs

from archestra_gateway.client_configs.client import Client
from archestra_gateway.client_configs.entry import Bridge, Remote, render
from archestra_gateway.client_configs.formats import Format
from archestra_gateway.client_configs.machine import Machine
from archestra_gateway.client_configs.section import Section
from archestra_gateway.client_configs.shapes import COMMAND, URL
from archestra_gateway.client_configs.targets import Target, targets
from archestra_gateway.config import DATA_DIR
from archestra_gateway.errors import Conflict, ValidationFailed
from archestra_gateway.schemas.external_mcp_client import ClientConfig

ENTRY = "archestra"
DEFAULT_KEYS = {Format.TOML: ["mcp_servers"]}


@attrs.frozen
class Gateway:
    """How clients reach the gateway; `program` starts the stdio bridge."""

    url: str
    needs_token: bool
    program: tuple[str, ...]


def bridge_program(data_dir: Path, config_file: Path | None) -> tuple[str, ...]:
    """The command line of the stdio bridge to the daemon of this data directory, and of this file."""
    script = Path(sys.executable).with_name("archestra-gateway")
    program = (str(script),) if script.exists() else (sys.executable, "-m", "archestra_gateway")
    place = () if data_dir == DATA_DIR else ("--data-dir", str(data_dir))
    settings = () if config_file is None else ("--config", str(config_file))
    return (*program, "mcp-stdio", *place, *settings)


def target_of(machine: Machine, name: str, config: ClientConfig) -> Target:
    """The file of a known client, or of any other that `config` describes. Raises ValidationFailed."""
    path = Path(config.path).expanduser() if config.path else None
    found = {target.name: target for target in targets(machine)}
    if known := found.get(name):
        if config.format or config.key or config.entry:
            raise ValidationFailed(
                f"The gateway knows {known.title}: `format`, `key` and `entry` describe other clients",
                fields={"config": "`config.format`, `config.key` and `config.entry` describe other clients"},
            )
        return attrs.evolve(known, path=path) if path else known
    if path is None or config.format is None:
        close = get_close_matches(name, found, n=1)
        meant = f"; did you mean {close[0]}? Else" if close else ":"
        raise ValidationFailed(
            f"The gateway knows no client {name}{meant} give the `path` and the `format` of its file",
            fields={"config": "`config.path` and `config.format` are needed for such a client"},
        )
    return Target(name, name, _custom(name, config, Format(config.format)), path, path.exists())


def gone(name: str) -> Target:
    """In the place of a client that was known and is no more, such as an editor's profile."""
    config = ClientConfig()
    return Target(name, name, _custom(name, config, Format.JSON), Path(), is_installed=False)


def offered(
    gateway: Gateway, target: Target, token: str, config: ClientConfig, servers: list[str]
) -> dict[str, dict[str, Any]]:
    """The entries that the client gets: one for all servers, or one for each.

    Raises Conflict when the gateway has no address that could be written down.
    """
    if target.client.http is not None and urlsplit(gateway.url).port == 0:
        raise Conflict(
            f"{gateway.url} is no address to write into a file: give server.base_url a port, or none"
        )
    headers = {"X-Client-Name": quote(target.name, safe=" ")}
    if gateway.needs_token:
        headers["Authorization"] = f"Bearer {token}"
    if config.mode == "gateway":
        return {ENTRY: _entry(gateway, target, ENTRY, "/mcp", headers, ())}
    chosen = [name for name in servers if config.servers is None or name in config.servers]
    return {
        name: _entry(gateway, target, name, f"/mcp_proxy/{name}", headers, ("--server", name))
        for name in chosen
    }


def _entry(
    gateway: Gateway, target: Target, name: str, path: str, headers: Mapping[str, str], args: tuple[str, ...]
) -> dict[str, Any]:
    command, *more = gateway.program
    bridge = Bridge(name, command, (*more, "--client", target.name, *args))
    return render(target.client, Remote(name, gateway.url + path, headers), bridge)


def _custom(name: str, config: ClientConfig, form: Format) -> Client:
    return Client(
        id=name,
        title=name,
        instances=(),
        form=form,
        section=Section(tuple(config.key or DEFAULT_KEYS.get(form, ["mcpServers"]))),
        http=config.entry or URL,
        stdio=COMMAND,
    )

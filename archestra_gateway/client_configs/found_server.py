"""The servers in any client's file as one shape, so that they can be shown and brought in."""

import re
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from archestra_gateway.client_configs.client import Client
from archestra_gateway.client_configs.formats import entries

ADDRESSES = ("url", "serverUrl", "httpUrl", "uri", "baseUrl")
ENVIRONMENTS = ("env", "environment", "envs")
NAMED_ENVIRONMENTS = ("env_vars", "env_keys")
"""Lists of variables whose values the client takes from its own environment, or from a keyring."""
HEADERS = (("headers",), ("http_headers",), ("requestOptions", "headers"), ("requestInit", "headers"))
PLACEHOLDER = re.compile(r"\$\{[^}]+\}|\{env:[^}]+\}")

Transport = Literal["stdio", "http", "sse"]


@attrs.frozen
class FoundServer:
    """`placeholders` are the `${…}` that only the client could fill in."""

    name: str
    transport: Transport
    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    cwd: str | None = None
    url: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    is_enabled: bool = True
    placeholders: tuple[str, ...] = ()


def read_servers(client: Client, text: str) -> list[FoundServer]:
    """Every server of the file; what is neither a command nor an address (a built-in one) is left out."""
    found = (
        normalise(name, entry, client.bare_url)
        for name, entry in entries(client.form, text, client.section).items()
    )
    return [server for server in found if server]


def normalise(name: str, entry: Any, bare_url: Literal["http", "sse"] = "http") -> FoundServer | None:
    """One entry of whatever client; `bare_url` is what a `url` without a `type` means there."""
    if not isinstance(entry, Mapping):
        return None
    address = next((key for key in ADDRESSES if isinstance(entry.get(key), str)), None)
    argv = _argv(entry)
    if not address and not argv:
        return None
    env = {} if address else _environment(entry)
    cwd = entry.get("cwd")
    headers = _headers(entry) if address else {}
    server = FoundServer(
        name=name,
        transport=_transport(entry, address, bare_url) if address else "stdio",
        command="" if address else argv[0],
        args=() if address else tuple(argv[1:]),
        env=env,
        cwd=cwd if isinstance(cwd, str) and cwd and not address else None,
        url=entry[address] if address else "",
        headers=headers,
        is_enabled=entry.get("disabled") is not True and entry.get("enabled") is not False,
    )
    texts = [server.url, server.command, *server.args, server.cwd or "", *env.values(), *headers.values()]
    found = {match for text in texts for match in PLACEHOLDER.findall(text)}
    if isinstance(entry.get("envFile"), str) and not address:
        found.add("envFile")
    return attrs.evolve(server, placeholders=tuple(sorted(found)))


def same_place(left: Any, right: Any) -> bool:
    """Whether two entries are equal, lead to the same address or start the same program."""
    if left == right:
        return True
    first, second = normalise("", left), normalise("", right)
    if first is None or second is None:
        return False
    return (first.url, first.command, first.args) == (second.url, second.command, second.args)


def _transport(entry: Mapping[str, Any], address: str, bare_url: Literal["http", "sse"]) -> Transport:
    kind = str(entry.get("type", entry.get("transport", ""))).lower()
    if kind == "sse":
        return "sse"
    return bare_url if not kind and address == "url" else "http"


def _argv(entry: Mapping[str, Any]) -> list[str]:
    """The command line; OpenCode writes it as one list, older Zed as a map."""
    command = entry.get("command", entry.get("cmd"))
    source = entry
    if isinstance(command, Mapping):
        source, command = command, command.get("path")
    if isinstance(command, list):
        return [str(part) for part in command]
    args = source.get("args")
    if not isinstance(command, str) or not command:
        return []
    return [command, *(str(part) for part in args)] if isinstance(args, list) else [command]


def _environment(entry: Mapping[str, Any]) -> dict[str, str]:
    found = _strings(_first(entry, ENVIRONMENTS))
    for key in NAMED_ENVIRONMENTS:
        names = entry.get(key)
        for name in names if isinstance(names, list) else ():
            if isinstance(name, str):
                found.setdefault(name, f"${{{name}}}")
    return found


def _headers(entry: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in HEADERS:
        held: Any = entry
        for key in path:
            held = held.get(key) if isinstance(held, Mapping) else None
        found.update(_strings(held))
    for header, name in _strings(entry.get("env_http_headers")).items():
        found[header] = f"${{{name}}}"
    variable = entry.get("bearer_token_env_var")
    if isinstance(variable, str):
        found["Authorization"] = f"Bearer ${{{variable}}}"
    return found


def _first(entry: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    return next((entry[key] for key in keys if key in entry), None)


def _strings(held: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in held.items()} if isinstance(held, Mapping) else {}

"""Claude Code's own `claude mcp`: running sessions rewrite its file, so its program is the better writer."""

import subprocess
from collections.abc import Mapping

import attrs

from archestra_gateway.client_configs.machine import Machine

TIMEOUT = 30.0


@attrs.frozen
class Outcome:
    is_done: bool
    said: str


def add(program: str, name: str, entry: Mapping[str, object]) -> list[str]:
    """The command line that adds an HTTP entry for all of the person's projects."""
    headers = entry.get("headers")
    pairs = headers.items() if isinstance(headers, Mapping) else ()
    flags = [part for key, value in pairs for part in ("--header", f"{key}: {value}")]
    return [
        program,
        "mcp",
        "add",
        "--scope",
        "user",
        "--transport",
        "http",
        name,
        str(entry["url"]),
        *flags,
    ]


def remove(program: str, name: str) -> list[str]:
    return [program, "mcp", "remove", "--scope", "user", name]


def has_secret(entry: Mapping[str, object]) -> bool:
    """Whether the command line would show a credential to everybody who lists processes."""
    headers = entry.get("headers")
    return isinstance(headers, Mapping) and any(key.lower() == "authorization" for key in headers)


def run(machine: Machine, arguments: list[str]) -> Outcome:
    """Runs it in the person's home; never raises."""
    environment = {**machine.environment, "HOME": str(machine.home)}
    try:
        ended = subprocess.run(
            arguments,
            cwd=machine.home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Outcome(False, str(error))
    return Outcome(ended.returncode == 0, ended.stdout.decode(errors="replace").strip())

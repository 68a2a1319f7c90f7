"""Changes a client's file one step at a time: says what it did on a line, and goes on when a line comes in.

Usage: slow_writer.py FILE VAULT NAME
"""

import sys
from pathlib import Path

from archestra_gateway.client_configs import files
from archestra_gateway.client_configs.backups import Backups
from archestra_gateway.client_configs.formats import Format, set_entry
from archestra_gateway.client_configs.section import Section

file, backups, name = sys.argv[1:]


def wait(done: str) -> None:
    print(done, flush=True)
    sys.stdin.readline()


def add(old: str | None) -> str:
    return set_entry(
        Format.JSONC, old or "", Section(("mcpServers",)), name, {"url": f"http://localhost/{name}"}
    )


files.update(Path(file), add, Backups(Path(backups)), "cursor", wait)

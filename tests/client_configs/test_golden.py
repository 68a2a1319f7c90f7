"""Every client on every platform: where its files are, and what a connection makes of what is found there."""

from pathlib import Path

import attrs
import pytest

from archestra_gateway.client_configs.client import Client
from archestra_gateway.client_configs.entry import Bridge, Remote, bridge_entry, remote_entry
from archestra_gateway.client_configs.json_tree import FormatError
from archestra_gateway.client_configs.machine import Machine, Platform
from archestra_gateway.client_configs.plan import Record, connect, difference
from archestra_gateway.client_configs.table import CLIENTS
from archestra_gateway.client_configs.targets import targets

GOLDEN = Path(__file__).parent / "golden"
FOUND = Path(__file__).parent / "found"
PLATFORMS: tuple[Platform, ...] = ("linux", "macos", "windows")


def files(client: Client, platform: Platform, home: Path) -> list[str]:
    """The places of a client's files, with `~` for the home."""
    home.mkdir(exist_ok=True)
    if platform == "windows" and client.id == "claude-desktop":
        home = home / "with-msix"
        (home / "AppData/Local/Packages/Claude_pzs8sxrjxfjjc/LocalCache/Roaming/Claude").mkdir(parents=True)
    found = targets(Machine(platform, home), (client,))
    return [
        f"{platform:8}{target.name:26}{target.title:50}~/{target.path.relative_to(home)}" for target in found
    ]


def story(client: Client, home: Path, remote: Remote, bridge: Bridge) -> str:
    """All that the gateway would do to this client's files, as text."""
    parts = [line for platform in PLATFORMS for line in files(client, platform, home / platform)]
    with_token = attrs.evolve(remote, headers={"Authorization": "Bearer token"})
    entries = {
        "program": bridge_entry(client.stdio, bridge),
        **(
            {
                "address": remote_entry(client.http, remote),
                "address, with a token": remote_entry(client.http, with_token),
            }
            if client.http
            else {}
        ),
    }
    for title, entry in entries.items():
        plan = connect(client, None, Record(), {"archestra": entry})
        parts.append(f"\n--- {title}, {client.form}\n{plan.text}".rstrip("\n"))
    entry = {"archestra": entries.get("address", entries["program"])}
    old = found(client)
    change = difference(client.id, old, connect(client, old, Record(), entry).text)
    parts.append(f"\n--- a file that a person has lived with\n{change}".rstrip("\n"))
    with pytest.raises(FormatError) as refusal:
        connect(client, found(client, "broken."), Record(), entry)
    parts.append(f"\n--- a broken file\n{refusal.value}")
    return "\n".join(parts) + "\n"


def found(client: Client, kind: str = "") -> str:
    name = "yaml_list" if client.section.is_list else client.form.value
    return (FOUND / f"{kind}{name}").read_text("utf-8").replace("KEY", client.section.path[-1])


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.id)
def test_a_first_connection_writes_what_the_client_reads(
    client: Client, tmp_path: Path, remote: Remote, bridge: Bridge, request: pytest.FixtureRequest
) -> None:
    golden = GOLDEN / f"{client.id}.txt"

    told = story(client, tmp_path, remote, bridge)

    if request.config.getoption("--write-golden", default=False):
        golden.write_text(told, encoding="utf-8")
    assert told == golden.read_text(encoding="utf-8")


def test_there_is_no_golden_file_of_an_unknown_client() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {client.id for client in CLIENTS}

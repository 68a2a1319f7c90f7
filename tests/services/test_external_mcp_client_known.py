"""What is known of connected programs: secrets sealed, and what is left when they can not be opened."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import attrs
import pytest

from archestra_gateway.client_configs.edit import Edit
from archestra_gateway.client_configs.plan import Record
from archestra_gateway.log import Redactor
from archestra_gateway.schemas.external_mcp_client import ClientConfig
from archestra_gateway.services.external_mcp_client_known import Known, KnownClients
from archestra_gateway.services.plain_secrets import seal_plain_secrets
from archestra_gateway.services.vault import open_vault
from archestra_gateway.store.database import Database, open_database

CANARY = "canary-of-an-entry-0123456789"
RECORD = Record(
    entries={"archestra": {"url": "http://localhost/mcp", "headers": {"Authorization": f"Bearer {CANARY}"}}},
    edit=Edit(1, "{}", CANARY),
    made=1,
    made_file=True,
    folders=("/a", "/a/b"),
)


@asynccontextmanager
async def opened(tmp_path: Path) -> AsyncIterator[tuple[Database, KnownClients, Redactor]]:
    redactor = Redactor()
    async with open_database(tmp_path / "gateway.db") as database:
        vault = await open_vault(tmp_path, "file")
        await seal_plain_secrets(database, vault)
        yield database, await KnownClients.load(database, vault, redactor), redactor


async def connected(clients: KnownClients, name: str = "cursor") -> Known:
    known = await clients.insert(Known.new(name, ClientConfig(servers=["one"])))
    return await clients.save(attrs.evolve(known, record=RECORD, connected_at=known.created_at))


def on_the_disk(tmp_path: Path, *values: str) -> list[str]:
    return [
        path.name
        for path in tmp_path.rglob("*")
        if path.is_file() and any(value.encode() in path.read_bytes() for value in values)
    ]


async def test_everything_comes_back_after_a_restart_and_nothing_lies_in_the_clear(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, clients, _):
        known = await connected(clients)
        assert on_the_disk(tmp_path, known.token, CANARY) == []

    async with opened(tmp_path) as (_, clients, redactor):
        assert clients.get("cursor") == known
        assert clients.is_token(known.token)
        assert redactor.text(f"a {known.token} z") == "a [redacted] z"


async def test_whoever_is_disconnected_has_no_token_and_whoever_is_deleted_leaves_nothing(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as (database, clients, _):
        known = await connected(clients)

        await clients.save(known.disconnected())
        assert not clients.is_token(known.token)
        await clients.delete("cursor")

        async with database.read() as db:
            assert list(await db.execute_fetchall("SELECT 1 FROM secret")) == []


async def test_a_client_whose_secrets_can_not_be_opened_is_not_connected(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as (_, clients, _):
        one = await connected(clients)
        other = await connected(clients, "kiro")
    with closing(sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)) as database:
        names = {"external_mcp_client:cursor": "-", "external_mcp_client:kiro": "external_mcp_client:cursor"}
        for old, new in names.items():
            database.execute("UPDATE secret SET owner = ? WHERE owner = ?", [new, old])

    async with opened(tmp_path) as (_, clients, _):
        assert not clients.is_connected("cursor")
        assert not clients.is_connected("kiro")
        assert not clients.is_token(one.token)
        assert not clients.is_token(other.token)
        assert clients.get("cursor").config == one.config
    assert "Connect cursor again" in caplog.text


async def test_what_an_earlier_version_stored_in_the_clear_is_sealed_and_leaves_no_trace(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as (_, clients, _):
        known = await connected(clients)
    written = (
        '{"entries": {"archestra": {"url": "x", "headers": {"Authorization": "CANARY"}}}, "edit": null, '
        '"made": 0, "made_file": false, "folders": []}'
    ).replace("CANARY", CANARY)
    with closing(sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)) as database:
        database.execute("DELETE FROM secret")
        database.execute("UPDATE external_mcp_client SET token = ?, written = ?", [known.token, written])
        assert on_the_disk(tmp_path, CANARY)

    async with opened(tmp_path) as (_, clients, _):
        sealed = clients.get("cursor")
        assert sealed.token == known.token
        assert sealed.record is not None
        assert "archestra" in sealed.record.entries
        assert on_the_disk(tmp_path, known.token, CANARY) == []

"""Old databases come along, later and foreign ones are refused in plain words."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from archestra_gateway.errors import DatabaseRefused
from archestra_gateway.store.database import open_database
from archestra_gateway.store.migrate import Script, embedded_scripts, migrate

NOTES = Script(9001, "notes", "CREATE TABLE note (text TEXT) STRICT; INSERT INTO note VALUES ('kept')")
BROKEN = Script(9002, "broken", "DELETE FROM note; INSERT INTO nowhere VALUES (1)")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def test_the_scripts_are_numbered_without_a_gap() -> None:
    assert [script.number for script in embedded_scripts()] == list(range(1, len(embedded_scripts()) + 1))


def test_each_script_is_recorded_once(path: Path) -> None:
    assert migrate(path)
    assert not migrate(path)

    recorded = query(path, "SELECT number, name FROM migration ORDER BY number")
    assert recorded == [(script.number, script.name) for script in embedded_scripts()]


def test_an_empty_database_is_not_copied_and_a_used_one_is(path: Path) -> None:
    migrate(path)
    assert not list(path.parent.glob("*.before-*"))

    migrate(path, [*embedded_scripts(), NOTES])

    (copy,) = path.parent.glob("*.before-*")
    assert copy.name == "gateway.db.before-9001"
    assert copy.stat().st_mode & 0o777 == 0o600
    assert (9001,) not in query(copy, "SELECT number FROM migration")
    assert query(path, "SELECT text FROM note") == [("kept",)]


def test_only_the_last_copies_are_kept(path: Path) -> None:
    scripts = [Script(number, "nothing", "SELECT 1") for number in range(9001, 9006)]
    migrate(path)
    for count in range(1, 6):
        migrate(path, [*embedded_scripts(), *scripts[:count]])

    assert sorted(copy.suffix for copy in path.parent.glob("*.before-*")) == [
        ".before-9003",
        ".before-9004",
        ".before-9005",
    ]


def test_a_script_that_fails_changes_nothing(path: Path) -> None:
    migrate(path, [*embedded_scripts(), NOTES])

    with pytest.raises(DatabaseRefused, match="no such table: nowhere"):
        migrate(path, [*embedded_scripts(), NOTES, BROKEN])

    assert query(path, "SELECT text FROM note") == [("kept",)]
    assert query(path, "SELECT max(number) FROM migration") == [(9001,)]


async def test_a_database_from_a_later_version_is_refused(path: Path) -> None:
    migrate(path, [*embedded_scripts(), NOTES])

    with pytest.raises(DatabaseRefused, match="written by a later version of the gateway"):
        async with open_database(path):
            pass


@pytest.mark.parametrize(
    "content", [b"not a database at all, just a long enough text" * 99, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_file_that_is_no_database_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(DatabaseRefused, match="can not be used: file is not a database"):
        migrate(path)

    assert path.read_bytes() == content


async def test_a_place_where_no_file_can_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefused, match="can not be opened: Is a directory"):
        async with open_database(tmp_path):
            pass


async def test_a_database_of_another_program_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE moz_places (url TEXT)")

    with pytest.raises(DatabaseRefused, match="database of another program"):
        async with open_database(path):
            pass

    assert query(path, "SELECT name FROM sqlite_schema") == [("moz_places",)]

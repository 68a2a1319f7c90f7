"""From whatever version a database file has to this program's, or a plain refusal."""

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from importlib import resources
from pathlib import Path

import attrs

from archestra_gateway.errors import DatabaseRefused

COPIES_KEPT = 3

TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table'"
VERSION = "SELECT max(number) FROM migration"
COPY = "VACUUM INTO :copy"


@attrs.frozen
class Script:
    """One embedded file `NNNN_what_it_does.sql`, never edited after its release."""

    number: int
    name: str
    sql: str

    def __str__(self) -> str:
        """The script whole: it commits together with the row that records it, or not at all."""
        row = f"{self.number}, '{self.name}', strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"  # our own file's name
        record = f"INSERT INTO migration (number, name, applied_at) VALUES ({row})"  # noqa: S608
        return f"BEGIN IMMEDIATE;\n{self.sql}\n;{record};\nCOMMIT;"


def embedded_scripts() -> list[Script]:
    """The migrations of this program, in order."""
    folder = resources.files("archestra_gateway.store") / "migrations"
    found = ((re.fullmatch(r"(\d{4})_(\w+)\.sql", file.name), file) for file in folder.iterdir())
    scripts = [Script(int(match[1]), match[2], file.read_text("utf-8")) for match, file in found if match]
    return sorted(scripts, key=lambda script: script.number)


def migrate(path: Path, scripts: Sequence[Script] | None = None) -> bool:
    """Applies what is missing; true when the database had nothing in it before."""
    scripts = embedded_scripts() if scripts is None else scripts
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA secure_delete = ON")  # what is moved elsewhere leaves nothing behind
            version = _version(connection, path)
            _refuse_later(path, version, scripts[-1].number)
            pending = [script for script in scripts if script.number > version]
            if version and pending:
                _keep_copy(connection, path, pending[0].number)
            for script in pending:
                connection.executescript(str(script))
            return version == 0
    except sqlite3.OperationalError as error:  # locked, full, not writable, or a script that fails
        raise DatabaseRefused(f"The database {path} can not be brought up to date: {error}") from error
    except sqlite3.DatabaseError as error:
        raise DatabaseRefused(
            f"The database {path} can not be used: {error}. Put back a copy of it ({path.name}.before-*),"
            " or move it away to start with an empty one."
        ) from error


def _version(connection: sqlite3.Connection, path: Path) -> int:
    tables = {name for (name,) in connection.execute(TABLES)}
    if not tables:
        return 0
    if "migration" not in tables:
        raise DatabaseRefused(
            f"The file {path} is a database of another program."
            " Move it away, or choose another data directory."
        )
    (version,) = connection.execute(VERSION).fetchone()
    return int(version)


def _refuse_later(path: Path, version: int, known: int) -> None:
    if version > known:
        raise DatabaseRefused(
            f"The database {path} was written by a later version of the gateway (version {version}, this"
            f" one knows up to {known}). Install the later version again, or put back an older copy"
            f" ({path.name}.before-*)."
        )


def _keep_copy(connection: sqlite3.Connection, path: Path, number: int) -> None:
    """`gateway.db.before-0002`, 0600; made under another name, so that a half-made one never looks whole."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    try:
        connection.execute(COPY, {"copy": str(unfinished)})
        unfinished.replace(path.with_name(f"{path.name}.before-{number:04}"))
    finally:
        unfinished.unlink(missing_ok=True)
    for old in sorted(path.parent.glob(f"{path.name}.before-*"))[:-COPIES_KEPT]:
        old.unlink()

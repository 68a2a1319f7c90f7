"""Every SQL constant of every store module means something to the migrated schema."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

from archestra_gateway import store
from archestra_gateway.store.migrate import migrate

VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "PRAGMA", "VACUUM")


def statements() -> Iterator[tuple[str, str]]:
    for module in iter_modules(store.__path__):
        constants = vars(import_module(f"{store.__name__}.{module.name}"))
        for name, value in constants.items():
            if name.isupper() and isinstance(value, str) and value.strip().startswith(VERBS):
                yield f"{module.name}.{name}", value


class AnyParameters(dict[str, None]):
    def __missing__(self, name: str) -> None:
        return None


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path: Path = tmp_path_factory.mktemp("schema") / "gateway.db"
    migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        yield connection


@pytest.mark.parametrize("sql", [pytest.param(sql, id=name) for name, sql in statements()])
def test_sqlite_understands_it(schema: sqlite3.Connection, sql: str) -> None:
    whole = sql.replace("{where}", "WHERE TRUE")  # what the filters become is tested with the request log
    schema.execute(f"EXPLAIN {whole}", AnyParameters())

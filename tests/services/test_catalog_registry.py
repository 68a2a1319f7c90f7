"""The registry's cache: whole once, then what is new; offline as it was; hostile answers change nothing."""

from collections.abc import AsyncIterator
from typing import Any, Protocol

import pytest

from archestra_gateway.errors import GatewayError, InvalidRequest
from archestra_gateway.schemas.catalog import CatalogQuery
from archestra_gateway.services.catalog import Catalog
from archestra_gateway.services.catalog_registry import RegistryCache, open_registry_cache
from archestra_gateway.store.database import Database

HOUR = 3600.0


class Registry(Protocol):
    url: str

    def publish(self, *servers: dict[str, Any]) -> None: ...
    def status(self, name: str, status: str) -> None: ...
    def age(self) -> None: ...
    def misbehave(self, mode: str) -> None: ...
    def requests(self) -> list[dict[str, str]]: ...


def server(name: str, version: str = "1.0.0", **more: Any) -> dict[str, Any]:
    package = {
        "registryType": "npm",
        "identifier": f"@example/{name}",
        "version": version,
        "transport": {"type": "stdio"},
    }
    return {
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": f"io.github.example/{name}",
        "description": f"Does {name}",
        "version": version,
        "packages": [package],
        **more,
    }


@pytest.fixture
async def cache(registry: Registry, database: Database) -> AsyncIterator[RegistryCache]:
    async with open_registry_cache(registry.url, HOUR, database) as opened:
        yield opened


@pytest.fixture
def catalog(cache: RegistryCache, database: Database) -> Catalog:
    return Catalog(database, cache)


async def names(catalog: Catalog, search: str = "") -> list[str]:
    page = await catalog.list_page(CatalogQuery(search=search, source="registry"))
    return [each.id.rpartition("/")[2] for each in page.data]


async def test_a_search_waits_for_nothing_and_lets_the_registry_be_read(
    catalog: Catalog, registry: Registry
) -> None:
    registry.publish(server("weather"))

    first = await catalog.list_page(CatalogQuery(source="registry"))
    await catalog.refresh()
    second = await catalog.list_page(CatalogQuery(source="registry"))

    assert (first.data, first.registry.is_refreshing) == ([], True)
    assert [each.id for each in second.data] == ["io.github.example/weather"]
    assert len(registry.requests()) == 1, "one refresh at a time"


async def test_it_is_read_page_by_page_and_then_only_for_what_is_new(
    catalog: Catalog, registry: Registry
) -> None:
    registry.publish(*(server(f"s{number:03}") for number in range(230)))
    await catalog.refresh()
    whole = registry.requests()

    registry.age()
    registry.publish(server("s007", "2.0.0", title="Bond"), server("new"))
    registry.status("io.github.example/s100", "deleted")
    registry.status("io.github.example/s101", "deprecated")
    state = await catalog.refresh()

    (again,) = registry.requests()
    assert [each.get("cursor") for each in whole] == [
        None,
        "io.github.example/s099:1.0.0",
        "io.github.example/s199:1.0.0",
    ]
    assert all(each["version"] == "latest" and each["limit"] == "100" for each in whole)
    assert again.keys() == {"version", "limit", "updated_since"}
    assert state.servers == 230
    assert (await catalog.get("io.github.example/s007")).title == "Bond"
    assert await names(catalog, "s100") == []
    assert (await catalog.get("io.github.example/s101")).is_deprecated
    assert await names(catalog, "new") == ["new"]


async def test_offline_it_is_as_it_was(catalog: Catalog, registry: Registry) -> None:
    registry.publish(server("weather"))
    before = await catalog.refresh()
    registry.misbehave("broken")

    with pytest.raises(GatewayError, match="answered with 500"):
        await catalog.refresh()

    state = await catalog.registry.state()
    assert await names(catalog) == ["weather"]
    assert state.refreshed_at == before.refreshed_at
    assert state.problem == f"The registry at {registry.url} answered with 500"


async def test_it_outlives_the_daemon_and_is_not_asked_before_its_time(
    registry: Registry, database: Database
) -> None:
    registry.publish(server("weather"))
    async with open_registry_cache(registry.url, HOUR, database) as first:
        await first.refresh()
    registry.requests()

    async with open_registry_cache(registry.url, HOUR, database) as second:
        found = await names(Catalog(database, second))
        state = await second.state()

    assert (found, state.is_refreshing, registry.requests()) == (["weather"], False, [])


async def test_what_vanished_unseen_goes_with_the_next_whole_pass(
    catalog: Catalog, cache: RegistryCache, database: Database, registry: Registry
) -> None:
    registry.publish(server("weather"))
    await catalog.refresh()
    async with database.transaction() as db:
        await db.execute("UPDATE catalog_registry SET swept_at = '2020-01-01T00:00:00.000Z'")
        await db.execute("UPDATE catalog_server SET name = 'io.github.example/gone'")

    await catalog.refresh()

    assert await names(catalog) == ["weather"]


async def test_another_registry_begins_anew(catalog: Catalog, registry: Registry, database: Database) -> None:
    registry.publish(server("weather"))
    await catalog.refresh()

    async with open_registry_cache(f"{registry.url}/other", HOUR, database) as other:
        with pytest.raises(GatewayError, match="404"):
            await other.refresh()
        state = await other.state()

    assert state.servers == 0


async def test_without_a_registry_there_is_the_built_in_list(database: Database) -> None:
    async with open_registry_cache("", HOUR, database) as none:
        page = await Catalog(database, none).list_page(CatalogQuery(search="time zones"))
        with pytest.raises(InvalidRequest, match="registry_url is empty"):
            await none.refresh()

    assert [each.id for each in page.data] == ["time"]
    assert page.registry.url is None


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        ("moved", "answered with 302"),
        ("no json", "no JSON"),
        ("deep", "no JSON"),
        ("no list", "no list of servers"),
        ("round and round", "one page over and over"),
        ("flood", "more than 16777216 bytes"),
    ],
)
async def test_an_answer_that_is_none_changes_nothing(
    catalog: Catalog, registry: Registry, mode: str, sentence: str
) -> None:
    registry.publish(server("weather"))
    await catalog.refresh()
    registry.misbehave(mode)

    with pytest.raises(GatewayError, match=sentence):
        await catalog.refresh()

    assert await names(catalog) == ["weather"]


async def test_a_registry_without_an_end_is_left(
    catalog: Catalog, cache: RegistryCache, registry: Registry
) -> None:
    cache.most_pages = 20
    registry.misbehave("without end")

    with pytest.raises(GatewayError, match="more than 20 pages"):
        await catalog.refresh()

    assert len(registry.requests()) == 20


async def test_nonsense_among_the_documents_is_passed_over_or_shown_as_text(
    catalog: Catalog, registry: Registry
) -> None:
    registry.misbehave("nonsense")
    await catalog.refresh()

    page = await catalog.list_page(CatalogQuery(source="registry"))
    found = {each.id.rpartition("/")[2]: each for each in page.data}

    assert found.keys() == {"flags", "text", "thief", "types"}
    assert (found["text"].title, found["text"].description) == ("title [31m", "<b>bold</b> and more")
    assert (found["types"].homepage, found["types"].variants, found["types"].title) == (None, [], "types")
    assert found["types"].problem == "It is reached in a way that the gateway does not know"
    assert "is not the name of a package" in str(found["flags"].problem)
    assert "a secret that you have stored" in str(found["thief"].problem)


async def test_the_best_come_first_and_pages_go_on_where_they_ended(
    catalog: Catalog, registry: Registry
) -> None:
    registry.publish(
        server("brave-extra", description="More of Brave"),
        server("zoo", description="Not as brave as others"),
        server("brave", description="Another one"),
        *(server(f"noise{number}") for number in range(5)),
    )
    await catalog.refresh()
    found, cursor = list[str](), None
    while True:
        page = await catalog.list_page(CatalogQuery(search="Brave", page_size=2, cursor=cursor))
        found += [each.id for each in page.data]
        assert page.total == 4
        if (cursor := page.next_cursor) is None:
            break

    assert found == [
        "brave-search",
        "io.github.example/brave",
        "io.github.example/brave-extra",
        "io.github.example/zoo",
    ]
    second = await catalog.list_page(CatalogQuery(search="Brave", page_size=3, page=2))
    assert [each.id for each in second.data] == ["io.github.example/zoo"]
    by_id = await catalog.list_page(CatalogQuery(search="github.example/z"))
    assert [each.id for each in by_id.data] == ["io.github.example/zoo"]

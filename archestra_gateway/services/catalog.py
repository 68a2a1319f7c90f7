"""The catalog: the built-in list, and the public registry behind it, as one."""

from typing import Any

import attrs

from archestra_gateway.catalog import built_in, server_json
from archestra_gateway.catalog.built_in import Entry
from archestra_gateway.catalog.recipe import Input, Recipe
from archestra_gateway.catalog.text import plain, web_address
from archestra_gateway.errors import NotFound, ValidationFailed
from archestra_gateway.schemas.catalog import (
    CatalogPage,
    CatalogQuery,
    CatalogServer,
    CatalogServerDetail,
    InputField,
    RegistryState,
    Variant,
)
from archestra_gateway.services import catalog_search
from archestra_gateway.services.catalog_registry import RegistryCache
from archestra_gateway.store import catalog as store
from archestra_gateway.store.database import Database

BEGINNING = (-1, "")


@attrs.frozen
class Catalog:
    """Answers from what is here; the registry is asked meanwhile."""

    _database: Database
    registry: RegistryCache

    async def list_page(self, query: CatalogQuery) -> CatalogPage:
        wanted = catalog_search.wanted(query.search)
        ours = [] if query.source == "registry" else _found(wanted)
        begin, after = _place(query, len(ours))
        here = ours[begin : begin + query.page_size]
        room, skipped = query.page_size - len(here), max(0, begin - len(ours))
        rows: list[store.Row] = []
        total = len(ours)
        if query.source != "builtin" and self.registry.url:
            await self.registry.refresh_when_stale()
            async with self._database.read() as db:
                rows = await store.list_page(db, wanted, room + 1, skipped, after)
                total += await store.count(db, wanted)
        shown = rows[:room]
        return CatalogPage(
            data=[*(_shown_entry(each) for each in here), *(_shown_row(row) for row in shown)],
            total=total,
            page=None if query.cursor else query.page,
            page_size=query.page_size,
            next_cursor=_next(begin + len(here), len(ours), shown, has_more=len(rows) > room),
            registry=await self.registry.state(),
        )

    async def get(self, server_id: str, variant: Variant | None = None) -> CatalogServerDetail:
        """Raises NotFound, or ValidationFailed for a variant that it does not have."""
        entry = built_in.entries().get(server_id)
        if entry is not None:
            return _detail(_shown_entry(entry), recipe_of_entry(entry, variant), variant)
        row = await self._row(server_id)
        return _detail(_shown_row(row), recipe_of_document(row["document"], variant), variant)

    async def recipe(self, server_id: str, variant: Variant | None) -> Recipe:
        """Raises NotFound, or ValidationFailed for a variant that it does not have."""
        entry = built_in.entries().get(server_id)
        if entry is not None:
            return recipe_of_entry(entry, variant)
        return recipe_of_document((await self._row(server_id))["document"], variant)

    async def refresh(self) -> RegistryState:
        await self.registry.refresh()
        return await self.registry.state()

    async def _row(self, server_id: str) -> store.Row:
        async with self._database.read() as db:
            row = await store.get(db, server_id) if self.registry.url else None
        if row is None:
            raise NotFound("There is no such server in the catalog", id=server_id)
        return row


def recipe_of_entry(entry: Entry, variant: Variant | None) -> Recipe:
    if variant is None:
        return entry.recipe()
    if variant in ("stdio", "http") and variant in entry.variants:
        return entry.recipe("stdio" if variant == "stdio" else "http")
    raise _no_variant(variant, list(entry.variants))


def recipe_of_document(document: dict[str, Any], variant: Variant | None) -> Recipe:
    """A `server.json`. Raises ValidationFailed for a variant that it does not have."""
    found = server_json.variants(document)
    if variant is not None and variant not in found:
        raise _no_variant(variant, list(found))
    chosen = None if variant in (None, "stdio") else variant
    return distrusted(server_json.read(document, chosen))


def distrusted(recipe: Recipe) -> Recipe:
    """What strangers published may not use what you have stored, nor hide what it does."""
    texts = [*recipe.texts(), *recipe.env, *recipe.headers]
    if any("${secret:" in text for text in texts):
        return attrs.evolve(recipe, problem="It asks for a secret that you have stored for something else")
    if not all(text.isprintable() for text in texts):
        return attrs.evolve(recipe, problem="It has characters in it that can not be seen")
    return recipe


def field_of(asked: Input) -> InputField:
    default: str | list[str] | None = list(asked.default) if asked.multiple else "".join(asked.default[:1])
    return InputField(
        name=asked.name,
        title=asked.title or asked.name,
        description=asked.description,
        type=asked.type,
        required=asked.required,
        secret=asked.secret,
        multiple=asked.multiple,
        default=default or None,
        choices=list(asked.choices),
        placeholder=asked.placeholder,
        min=asked.min,
        max=asked.max,
    )


def _found(wanted: store.Search) -> list[Entry]:
    """The best first, and else as in the list."""
    ranked = []
    for entry in built_in.entries().values():
        table = entry.table
        rank = catalog_search.rank(wanted, entry.id, table.title, table.description, table.tags)
        if rank is not None:
            ranked.append((rank, entry))
    return [entry for _, entry in sorted(ranked, key=lambda each: each[0])]


def _place(query: CatalogQuery, ours: int) -> tuple[int, tuple[int, str]]:
    """Where a page begins: a number of the built-in list, and a place in the registry's."""
    if query.cursor is None:
        return (query.page - 1) * query.page_size, BEGINNING
    source, _, place = query.cursor.partition(":")
    if source == "builtin":
        return int(place), BEGINNING
    rank, _, name = place.partition(":")
    return ours, (int(rank), name)


def _next(end: int, ours: int, shown: list[store.Row], *, has_more: bool) -> str | None:
    if end < ours:
        return f"builtin:{end}"
    if not has_more:
        return None
    return f"registry:{shown[-1]['rank']}:{shown[-1]['name']}" if shown else f"builtin:{ours}"


def _shown_entry(entry: Entry) -> CatalogServer:
    recipe = entry.recipe()
    return CatalogServer(
        id=entry.id,
        source="builtin",
        title=entry.table.title,
        description=entry.table.description,
        version=None,
        homepage=entry.table.homepage,
        tags=entry.table.tags,
        variants=list(entry.variants),
        needs_secret=_needs_secret(recipe),
        is_deprecated=False,
        problem=None,
    )


def _shown_row(row: store.Row) -> CatalogServer:
    document = row["document"]
    recipe = recipe_of_document(document, None)
    repository = document.get("repository")
    source = repository.get("url") if isinstance(repository, dict) else None
    return CatalogServer(
        id=row["name"],
        source="registry",
        title=recipe.title,
        description=recipe.description,
        version=plain(document.get("version"), 100) or None,
        homepage=web_address(document.get("websiteUrl")) or web_address(source),
        tags=[],
        variants=list(server_json.variants(document)),
        needs_secret=_needs_secret(recipe),
        is_deprecated=row["status"] == "deprecated",
        problem=recipe.problem,
    )


def _detail(shown: CatalogServer, recipe: Recipe, variant: Variant | None) -> CatalogServerDetail:
    values = attrs.asdict(shown, recurse=False)
    args = [part for group in recipe.args for part in group]
    return CatalogServerDetail(
        **{**values, "problem": recipe.problem},
        variant=variant or next(iter(shown.variants), None),
        fields=[field_of(asked) for asked in recipe.inputs],
        command=[recipe.command, *args] if recipe.command else [],
        env=list(recipe.env),
        url=recipe.url or None,
        headers=list(recipe.headers),
        read_only=list(recipe.grants.read_only),
        read_write=list(recipe.grants.read_write),
        hosts=list(recipe.grants.hosts),
        whole_network=recipe.grants.whole_network,
        local_sockets=recipe.grants.local_sockets,
        notes=list(recipe.notes),
    )


def _needs_secret(recipe: Recipe) -> bool:
    return any(asked.secret and asked.required for asked in recipe.inputs)


def _no_variant(variant: str, variants: list[Any]) -> ValidationFailed:
    known = ", ".join(variants) or "none"
    return ValidationFailed(
        f"It does not come as {variant}", fields={"variant": f"`variant` must be one of {known}"}
    )

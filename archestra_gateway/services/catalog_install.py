"""Installing in two steps: what would be done, exactly, and the same again with the person's yes."""

import asyncio
import hmac
import secrets
from collections.abc import Iterable, Sequence

import attrs
import msgspec

from archestra_gateway.catalog.recipe import Recipe
from archestra_gateway.errors import Conflict, ValidationFailed
from archestra_gateway.schemas.catalog import (
    ImportMcpServers,
    Installation,
    InstallMcpServer,
    InstallOptions,
)
from archestra_gateway.schemas.mcp_server import RESERVED, McpServer
from archestra_gateway.schemas.secret import CreateSecret
from archestra_gateway.services.catalog import Catalog
from archestra_gateway.services.catalog_bundle import Bundles
from archestra_gateway.services.catalog_input import unknown, with_secrets_marked
from archestra_gateway.services.catalog_plan import Plan, plan, with_env
from archestra_gateway.services.catalog_source import Sources
from archestra_gateway.services.mcp_server import McpServers
from archestra_gateway.services.secret import Secrets

CHANGED = "This is not what was shown, or the gateway was started again since: look at it once more"


@attrs.frozen
class Installer:
    _catalog: Catalog
    _sources: Sources
    _bundles: Bundles
    _servers: McpServers
    _secrets: Secrets
    _lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    _key: bytes = attrs.field(factory=lambda: secrets.token_bytes(32), repr=False)

    async def install(self, wanted: InstallMcpServer) -> Installation:
        """From the catalog."""
        recipe = await self._catalog.recipe(wanted.mcp_connector_id, wanted.variant)
        return await self._go([recipe], wanted)

    async def import_config(self, wanted: ImportMcpServers) -> Installation:
        """From anywhere else."""
        if wanted.bundle is not None:
            return await self._bundle(wanted.bundle, wanted)
        return await self._go(await self._sources.recipes(wanted), wanted)

    async def preview_bundle(self, bundle_id: str) -> Installation:
        """What was just uploaded."""
        return await self._bundle(bundle_id, InstallOptions())

    async def _bundle(self, bundle_id: str, options: InstallOptions) -> Installation:
        name = options.name or self._free_name(await self._bundles.name_of(bundle_id), set())
        done = await self._go([await self._bundles.recipe(bundle_id, name)], options)
        if done.state == "installed":
            self._bundles.forget(bundle_id)
        return attrs.evolve(done, bundle=bundle_id)

    async def _go(self, recipes: Sequence[Recipe], options: InstallOptions) -> Installation:
        """One at a time, so that two never take one name."""
        async with self._lock:
            return await self._planned(recipes, options)

    async def _planned(self, recipes: Sequence[Recipe], options: InstallOptions) -> Installation:
        plans = await self._plans([with_secrets_marked(recipe) for recipe in recipes], options)
        shown = [each.shown for each in plans]
        if any(each.missing for each in shown):
            return Installation(state="needs_input", servers=shown, confirm=None)
        ready = [each for each in plans if each.wanted]
        if not ready:
            return Installation(state="refused", servers=shown, confirm=None)
        confirm = self._seal(ready)
        if options.confirm is None:
            return Installation(state="preview", servers=shown, confirm=confirm)
        if not hmac.compare_digest(options.confirm.encode(), confirm.encode()):
            raise Conflict(CHANGED)
        done = {each.shown.name: await self._create(each) for each in ready}
        shown = [attrs.evolve(each, server=done.get(each.name)) for each in shown]
        return Installation(state="installed", servers=shown, confirm=None)

    async def _plans(self, recipes: Sequence[Recipe], options: InstallOptions) -> list[Plan]:
        """Raises ValidationFailed, or Conflict when the wanted name is taken."""
        if len(recipes) > 1 and (options.name or options.permissions or options.env):
            raise ValidationFailed(
                "`name`, `env` and `permissions` belong to one server, and there are several"
            )
        if (wrong := unknown(recipes, options.inputs)) is not None:
            raise wrong
        stored = {secret.name for secret in await self._secrets.list_all()}
        taken = {server.name for server in self._servers.list_all()}
        if options.name in taken:
            raise Conflict(f"There is an MCP server named {options.name} already", name=options.name)
        plans: list[Plan] = []
        for recipe in recipes:
            name = options.name or self._free_name(recipe.name, taken)
            taken.add(name)
            plans.append(plan(with_env(recipe, options.env), name, options, stored))
            stored.update(plans[-1].to_store)
        return plans

    async def _create(self, agreed: Plan) -> McpServer | None:
        """The secrets first, so that nothing refers to one that is not there."""
        wanted = agreed.wanted
        if wanted is None:
            return None
        made: list[str] = []
        try:
            for name, value in agreed.to_store.items():
                await self._secrets.create(CreateSecret(name=name, value=value))
                made.append(name)
            if agreed.bundle is not None:
                await self._bundles.unpack(agreed.bundle, wanted.name)
            return await self._servers.create(wanted)
        except BaseException:
            for name in made:
                await self._secrets.delete(name)
            raise

    def _free_name(self, name: str, taken: set[str]) -> str:
        """`name`, or `name-2` where that is taken."""
        used = {*taken, *(server.name for server in self._servers.list_all()), *RESERVED}
        candidate, number = name, 2
        while candidate in used:
            ending = f"-{number}"
            candidate, number = name[: 64 - len(ending)] + ending, number + 1
        return candidate

    def _seal(self, plans: Iterable[Plan]) -> str:
        """What is agreed to, in a form that tells nothing of it and fits nothing else."""
        text = msgspec.json.encode([attrs.asdict(each.wanted) for each in plans if each.wanted])
        return hmac.new(self._key, text, "sha256").hexdigest()

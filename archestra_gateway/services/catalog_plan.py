"""What installing a recipe comes to: the exact configuration, the permissions, and what is missing."""

from collections.abc import Iterable, Mapping

import attrs

from archestra_gateway.catalog.built_in import known, known_permissions
from archestra_gateway.catalog.recipe import Recipe, Values, config_of, permissions_of
from archestra_gateway.errors import GatewayError, ValidationFailed
from archestra_gateway.schemas.catalog import InstallOptions, PlannedServer
from archestra_gateway.schemas.mcp_server import CreateMcpServer, ServerConfig, StdioConfig
from archestra_gateway.schemas.permissions import Permissions
from archestra_gateway.services.catalog import field_of
from archestra_gateway.services.catalog_input import given
from archestra_gateway.services.installed import package_of, runs_as_it_is
from archestra_gateway.services.mcp_server_secrets import masked, unmasked

NOTHING_GRANTED = (
    "Nobody has said what it needs: it gets no network and no folders but those that are shown. Pass "
    "`permissions`, or let `learn` propose them."
)


@attrs.frozen
class Plan:
    """`wanted` is there when nothing is missing and nothing speaks against it."""

    shown: PlannedServer
    wanted: CreateMcpServer | None = None
    to_store: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    bundle: str | None = None


def with_env(recipe: Recipe, env: Mapping[str, str]) -> Recipe:
    """Raises ValidationFailed for a server that has no environment."""
    if env and recipe.is_remote:
        raise ValidationFailed(
            "A remote server has no environment", fields={"env": "`env` is for programs on this machine"}
        )
    return attrs.evolve(recipe, env={**recipe.env, **env}) if env else recipe


def plan(recipe: Recipe, name: str, options: InstallOptions, stored: Iterable[str]) -> Plan:
    """`stored` are the names of secrets that are taken. Raises ValidationFailed where an input is wrong."""
    shown = PlannedServer(
        name=name,
        title=recipe.title or name,
        description=recipe.description,
        server_config=None,
        permissions=None,
        fields=[field_of(asked) for asked in recipe.inputs],
        missing=[],
        secrets=[],
        notes=list(recipe.notes),
        problem=recipe.problem or _exposed(recipe),
    )
    if shown.problem:
        return Plan(shown)
    told = given(recipe, name, options.inputs, stored)
    placeholders = {missing: (f"${{input:{missing}}}",) for missing in told.missing}
    try:
        config = unmasked(config_of(recipe, {**told.values, **placeholders}), None)
        permissions = options.permissions or _fitting(recipe, config, told.values)
        refusal = _refusal(config, permissions)
    except ValueError as error:
        problem = None if told.missing else str(error)
        return Plan(attrs.evolve(shown, missing=list(told.missing), problem=problem))
    if refusal:
        return Plan(attrs.evolve(shown, problem=refusal))
    shown = attrs.evolve(
        shown,
        server_config=masked(config),
        permissions=permissions,
        missing=list(told.missing),
        secrets=list(told.to_store),
        notes=[*shown.notes, *_notes(recipe, config, options.permissions)],
    )
    if told.missing:
        return Plan(shown)
    wanted = CreateMcpServer(name=name, server_config=config, permissions=permissions, enabled=recipe.enabled)
    return Plan(shown, wanted, told.to_store, recipe.bundle)


def _refusal(config: ServerConfig, permissions: Permissions) -> str | None:
    """What would keep its package from being installed."""
    try:
        if isinstance(config, StdioConfig) and not runs_as_it_is(config, permissions):
            package_of(config)
    except GatewayError as error:
        return error.message
    return None


def _fitting(recipe: Recipe, config: ServerConfig, values: Values) -> Permissions:
    fitting = None if recipe.is_ours else known_permissions(config)
    return fitting or permissions_of(recipe, values)


def _notes(recipe: Recipe, config: ServerConfig, permissions: Permissions | None) -> Iterable[str]:
    if recipe.is_ours or permissions is not None or not isinstance(config, StdioConfig):
        return
    entry = known(config)
    yield NOTHING_GRANTED if entry is None else f"Its permissions are those of `{entry.id}` in the catalog."


def _exposed(recipe: Recipe) -> str | None:
    """A secret that would stand where others can read it is refused, however its author meant it."""
    exposed = recipe.exposed()
    secret = next((asked for asked in recipe.inputs if asked.secret and asked.name in exposed), None)
    if secret is None:
        return None
    place = "in its address" if recipe.is_remote else "on its command line"
    return f"It wants the secret {secret.name} {place}, where others could read it"

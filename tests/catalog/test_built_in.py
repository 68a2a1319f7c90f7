"""The built-in list: every table is what its reader takes, and fits what its server is given."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from archestra_gateway.catalog import built_in
from archestra_gateway.catalog.built_in import Entry, ServerTable, known, known_image, known_permissions
from archestra_gateway.catalog.recipe import Recipe, config_of, permissions_of
from archestra_gateway.schemas.mcp_server import NAME, RESERVED, HttpConfig, StdioConfig
from archestra_gateway.schemas.permissions import Permissions
from archestra_gateway.web import strict

ENTRIES = built_in.entries()
TABLES: dict[str, Any] = tomllib.loads(built_in.LIST.read_text())
VARIANTS = [
    pytest.param(entry.recipe(variant), id=f"{entry.id} {variant}")
    for entry in ENTRIES.values()
    for variant in entry.variants
]
WELL_KNOWN = {
    "brave-search",
    "context7",
    "everything",
    "fetch",
    "filesystem",
    "git",
    "github",
    "memory",
    "playwright",
    "sequential-thinking",
    "sqlite",
    "time",
}


def test_the_well_known_servers_are_there() -> None:
    assert ENTRIES.keys() >= WELL_KNOWN
    assert any(entry.table.login for entry in ENTRIES.values())


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_what_its_class_has_and_nothing_else(name: str) -> None:
    assert strict.structure(TABLES[name], ServerTable) == ENTRIES[name].table


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=str)
def test_an_entry_can_be_shown_and_used(entry: Entry) -> None:
    table = entry.table
    assert NAME.fullmatch(entry.id)
    assert entry.id not in RESERVED
    assert entry.variants
    assert table.prefer is None or table.prefer in entry.variants
    assert table.homepage.startswith("https://")
    assert table.description.endswith(".")
    assert 1 <= len(table.tags) <= 4
    assert ("remote" in table.tags) == bool(table.url)
    assert table.login <= bool(table.url)
    assert not (table.url and table.url.startswith("http:"))
    assert entry.package or not table.command, "the gateway installs packages by npx and uvx"


def values(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    examples = {"folder": "/srv/folder", "file": "/srv/folder/file.db", "number": "1", "boolean": "true"}
    return {
        each.name: each.default or ((examples.get(each.type, "text:443"),) * (2 if each.multiple else 1))
        for each in recipe.inputs
    }


@pytest.mark.parametrize("recipe", VARIANTS)
def test_a_recipe_makes_a_configuration_with_everything_and_with_the_least(recipe: Recipe) -> None:
    required = {each.name for each in recipe.inputs if each.required}
    everything = values(recipe)
    least = {name: texts for name, texts in everything.items() if name in required}

    for given in (everything, least):
        config, permissions = config_of(recipe, given), permissions_of(recipe, given)

        assert "${input:" not in str([config, permissions])
        assert isinstance(config, HttpConfig) == recipe.is_remote
        assert permissions == Permissions() or not recipe.is_remote


@pytest.mark.parametrize("recipe", VARIANTS)
def test_what_is_asked_for_is_used_and_no_secret_is_exposed(recipe: Recipe) -> None:
    named = {each.name for each in recipe.inputs}

    assert recipe.used() == named
    assert not {each.name for each in recipe.inputs if each.secret} & recipe.exposed()
    assert all(each.title and each.description for each in recipe.inputs)


def test_every_input_of_the_file_belongs_to_a_variant() -> None:
    for entry in ENTRIES.values():
        used = {name for variant in entry.variants for name in entry.recipe(variant).used()}
        assert used == entry.table.inputs.keys(), entry.id


def test_every_member_is_explained_in_the_head_of_the_file() -> None:
    head = built_in.LIST.read_text().partition("\n\n")[0]
    explained = set(re.findall(r"`(\w+)`", head))

    assert set(ServerTable.__annotations__) - {"login"} <= explained


@pytest.mark.parametrize(
    ("command", "args", "permissions"),
    [
        (
            "npx",
            ["-y", "@modelcontextprotocol/server-filesystem@2026.8.31", "/srv/a", "~/notes"],
            Permissions(read_write=["/srv/a", f"{Path.home()}/notes"]),
        ),
        ("npx", ["-y", "@modelcontextprotocol/server-filesystem", "/", "~"], Permissions()),
        ("uvx", ["mcp-server-sqlite", "--db-path", "/srv/a/b.db"], Permissions(read_write=["/srv/a"])),
        (
            "uvx",
            ["mcp-server-sqlite", "--db-path", "~/b.db"],
            Permissions(read_write=[f"{Path.home()}/b.db"]),
        ),
        (
            "uv",
            ["tool", "run", "--from", "mcp_server_git==1", "x", "-r=/srv"],
            Permissions(read_write=["/srv"]),
        ),
        (
            "/usr/bin/npx",
            ["--yes", "--package=mcp-obsidian", "mcp-obsidian", "/v"],
            Permissions(read_only=["/v"]),
        ),
        ("npx", ["-y", "tavily-mcp@latest"], Permissions(hosts=["api.tavily.com:443"])),
        ("uvx", ["mcp-server-fetch"], Permissions(whole_network=True)),
        ("uvx", ["somebody-elses"], None),
        ("node", ["index.js"], None),
        ("npx", ["-y", "./server-filesystem"], None),
        ("npx", [], None),
    ],
)
def test_servers_of_the_list_are_known_wherever_they_come_from(
    command: str, args: list[str], permissions: Permissions | None
) -> None:
    assert known_permissions(StdioConfig(command=command, args=args)) == permissions


def test_an_address_and_a_container_are_known_too() -> None:
    linear = known(HttpConfig(transport="http", url="https://mcp.linear.app/mcp/"))
    image = known_image("ghcr.io/github/github-mcp-server:v1@sha256:0")

    assert (linear and linear.id, image and image.id) == ("linear", "github")
    assert known_image("somebody/else") is None

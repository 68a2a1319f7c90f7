"""`server.json` as configurations, and what of it is refused."""

from typing import Any

import pytest

from archestra_gateway.catalog.recipe import config_of, permissions_of
from archestra_gateway.catalog.server_json import read, variants
from archestra_gateway.schemas.mcp_server import HttpConfig, StdioConfig

STDIO = {"type": "stdio"}


def document(*packages: dict[str, Any], remotes: Any = ()) -> dict[str, Any]:
    head = {"name": "io.github.example/notes", "description": "Notes", "version": "1.0.0"}
    return {**head, "packages": list(packages), "remotes": list(remotes)}


def npm(**more: Any) -> dict[str, Any]:
    return {"registryType": "npm", "identifier": "notes", "version": "1.0.0", "transport": STDIO, **more}


def argv(package: dict[str, Any], **values: tuple[str, ...]) -> list[str]:
    config = config_of(read(document(package)), values)
    assert isinstance(config, StdioConfig)
    return [config.command, *config.args]


@pytest.mark.parametrize(
    ("package", "values", "line"),
    [
        (npm(), {}, "npx -y notes@1.0.0"),
        (npm(registryType="pypi", runtimeHint="uvx"), {}, "uvx notes@1.0.0"),
        (npm(runtimeArguments=[{"type": "positional", "value": "-y"}]), {}, "npx -y notes@1.0.0"),
        (
            npm(
                registryType="pypi", runtimeArguments=[{"type": "named", "name": "--python", "value": "3.12"}]
            ),
            {},
            "uvx --python=3.12 notes@1.0.0",
        ),
        (npm(packageArguments=[{"type": "named", "name": "--verbose"}]), {}, "npx -y notes@1.0.0 --verbose"),
        (
            npm(packageArguments=[{"type": "named", "name": "-p", "format": "number", "isRequired": True}]),
            {"p": ("80",)},
            "npx -y notes@1.0.0 -p 80",
        ),
        (
            npm(packageArguments=[{"type": "named", "name": "--in", "isRepeated": True, "default": "a"}]),
            {"in": ("a", "b")},
            "npx -y notes@1.0.0 --in=a --in=b",
        ),
        (npm(packageArguments=[{"type": "positional", "valueHint": "where"}]), {}, "npx -y notes@1.0.0"),
        (
            npm(
                packageArguments=[
                    {
                        "type": "named",
                        "name": "--mount",
                        "value": "src={source},dst=/project,{unknown}",
                        "variables": {"source": {"isRequired": True}},
                    }
                ]
            ),
            {"source": ("/a",)},
            "npx -y notes@1.0.0 --mount=src=/a,dst=/project,{unknown}",
        ),
    ],
)
def test_a_package_becomes_a_command_line(
    package: dict[str, Any], values: dict[str, tuple[str, ...]], line: str
) -> None:
    assert argv(package, **values) == line.split()


def test_inputs_say_what_the_document_says() -> None:
    key = {
        "name": "API_KEY",
        "description": "Yours",
        "isRequired": True,
        "isSecret": True,
        "placeholder": "sk-…",
    }
    level = {"name": "LEVEL", "default": "info", "choices": ["info", "debug"]}
    file = {"name": "FILE", "format": "filepath"}
    recipe = read(document(npm(environmentVariables=[key, level, file, {"name": "FIXED", "value": "1"}])))

    config = config_of(recipe, {"API_KEY": ("k",), "FILE": ("/srv/x",)})
    assert isinstance(config, StdioConfig)
    assert config.env == {"API_KEY": "k", "FILE": "/srv/x", "FIXED": "1"}
    assert permissions_of(recipe, {"FILE": ("/srv/x",)}).read_only == ["/srv/x"]
    asked = {each.name: each for each in recipe.inputs}
    assert (asked["API_KEY"].required, asked["API_KEY"].secret, asked["API_KEY"].placeholder) == (
        True,
        True,
        "sk-…",
    )
    assert (asked["LEVEL"].default, asked["LEVEL"].choices) == (("info",), ("info", "debug"))


def test_two_inputs_of_one_name_are_two() -> None:
    first = {"type": "positional", "valueHint": "path", "isRequired": True, "description": "From"}
    second = {"type": "positional", "valueHint": "path", "isRequired": True, "description": "To"}

    assert argv(npm(packageArguments=[first, second]), path=("/a",), path_2=("/b",))[-2:] == ["/a", "/b"]


def test_a_remote_has_variables_and_headers() -> None:
    remote = {
        "type": "streamable-http",
        "url": "https://{tenant}.example.com/mcp",
        "variables": {"tenant": {"isRequired": True, "default": "eu"}},
        "headers": [
            {"name": "Authorization", "value": "Bearer {token}", "variables": {"token": {"isSecret": True}}}
        ],
    }
    recipe = read(document(remotes=[{"type": "sse", "url": "https://x.example.com"}, remote]))

    config = config_of(recipe, {"tenant": ("us",), "token": ("t",)})
    assert isinstance(config, HttpConfig)
    assert (config.url, config.headers) == ("https://us.example.com/mcp", {"Authorization": "Bearer t"})


def test_a_remote_of_the_old_transport_will_do() -> None:
    old = document(remotes=[{"type": "sse", "url": "https://x.example.com/sse"}])

    assert read(old).url == "https://x.example.com/sse"


def test_the_confined_program_comes_before_the_address() -> None:
    remote = {"type": "streamable-http", "url": "https://example.com/mcp"}
    both = document(
        {"registryType": "oci", "identifier": "x/y:1", "transport": STDIO}, npm(), remotes=[remote]
    )

    assert variants(both) == ["npm", "http"]
    assert read(both).command == "npx"
    assert read(both, "http").url == "https://example.com/mcp"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (document({"registryType": "oci", "identifier": "x/y:1", "transport": STDIO}), "container"),
        (document({"registryType": "nuget", "identifier": "X.Y", "transport": STDIO}), ".NET"),
        (document(npm(transport={"type": "streamable-http", "url": "http://localhost:1"})), "web server"),
        (document(npm(registryBaseUrl="https://evil.example.com")), "another package registry"),
        (document(npm(identifier="--registry=https://evil.example.com")), "not the name of a package"),
        (document(npm(identifier="../../notes")), "not the name of a package"),
        (document(npm(identifier="https://example.com/x.tgz")), "not the name of a package"),
        (document(npm(identifier="notes@latest")), "not the name of a package"),
        (document(npm(version="1.0 --evil")), "not the version"),
        (document(npm(version=7)), "not the version"),
        (document(remotes=[{"type": "smoke", "url": "https://x.example.com"}]), "does not know"),
        (document(), "neither which package"),
        ({"packages": "x", "remotes": {"a": 1}}, "neither which package"),
        (document(npm(registryType="mcpb", identifier="https://github.com/x.mcpb")), "SHA-256"),
    ],
)
def test_what_can_not_be_used_says_why(given: dict[str, Any], problem: str) -> None:
    assert problem in str(read(given).problem)

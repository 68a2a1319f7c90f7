"""Command lines of READMEs, as configurations."""

import pytest

from archestra_gateway.catalog.command_line import NotACommand, host_name, image_of, proposed, read


@pytest.mark.parametrize(
    ("text", "name", "argv", "env"),
    [
        ("npx -y @scope/pkg-mcp --flag", "pkg", ["npx", "-y", "@scope/pkg-mcp", "--flag"], {}),
        ("$ A=1 B='x y' uvx mcp-server-time", "time", ["uvx", "mcp-server-time"], {"A": "1", "B": "x y"}),
        ("env A=1 npx pkg@1.2", "pkg", ["npx", "pkg@1.2"], {"A": "1"}),
        ("npx -y pkg \\\n  --a \\\n  --b", "pkg", ["npx", "-y", "pkg", "--a", "--b"], {}),
        ("node /srv/notes/dist/index.js", "notes", ["node", "/srv/notes/dist/index.js"], {}),
        ("my-server", "my", ["my-server"], {}),
        ("cmd /c npx -y pkg", "pkg", ["npx", "-y", "pkg"], {}),
        ("claude mcp add brave -e KEY=k -s user -- npx p -e", "brave", ["npx", "p", "-e"], {"KEY": "k"}),
        ("claude mcp add brave npx -y pkg", "brave", ["npx", "-y", "pkg"], {}),
        ("codex mcp add x --env KEY=k -- uvx y", "x", ["uvx", "y"], {"KEY": "k"}),
    ],
)  # fmt: skip
def test_it_is_read(text: str, name: str, argv: list[str], env: dict[str, str]) -> None:
    recipe = read(text)

    assert recipe.name == name
    assert [recipe.command, *(part for group in recipe.args for part in group)] == argv
    assert recipe.env == env


@pytest.mark.parametrize(
    ("text", "url", "headers"),
    [
        (
            "claude mcp add --transport http sentry https://mcp.example.com/mcp",
            "https://mcp.example.com/mcp",
            {},
        ),
        (
            "claude mcp add -t http x https://example.com/mcp --header 'Authorization: Bearer t'",
            "https://example.com/mcp",
            {"Authorization": "Bearer t"},
        ),
        ("codex mcp add exa --url https://example.com/mcp", "https://example.com/mcp", {}),
        ("npx -y mcp-remote https://example.com/mcp --header K:v", "https://example.com/mcp", {"K": "v"}),
    ],
)
def test_an_address_in_it_makes_a_remote_server(text: str, url: str, headers: dict[str, str]) -> None:
    recipe = read(text)

    assert (recipe.url, recipe.headers, recipe.command) == (url, headers, "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "npx x | tee log",
        "npx x && rm y",
        "npx $(id)",
        "npx `id`",
        "a\nb",
        "sudo npx x",
        'npx "x',
        "claude mcp add",
    ],
)
def test_what_is_no_command_line_of_one_program_is_refused(text: str) -> None:
    with pytest.raises(NotACommand):
        read(text)


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("docker run -i --rm -e KEY --mount type=bind,src=a,dst=b mcp/fs /projects", "mcp/fs"),
        ("podman container run --env=K=v ghcr.io/x/y:1", "ghcr.io/x/y:1"),
        ("docker compose up", None),
        ("docker run -e", None),
    ],
)
def test_the_image_of_a_container_is_found(text: str, image: str | None) -> None:
    assert image_of(text.split()) == image
    assert read(text).problem is not None


def test_names_are_short() -> None:
    assert proposed("npx", ["-y", "@modelcontextprotocol/server-everything"]) == "everything"
    assert proposed("/opt/tools/bin/notes-mcp", []) == "notes"
    assert proposed("python3", ["-m", "server"]) == "python3"
    assert [
        host_name(url)
        for url in ("https://mcp.sentry.dev/mcp", "http://localhost:3000", "http://10.0.0.1/mcp")
    ] == [
        "sentry",
        "localhost",
        "server",
    ]

"""What `npx …`, `uvx …` and `pipx run …` name."""

from typing import Any

import pytest

from archestra_gateway.packages.command import parse
from archestra_gateway.packages.package import NotInstallable, Package


def npm(*requirements: str, program: str | None = None, args: tuple[str, ...] = (), **more: Any) -> Package:
    return Package("npm", requirements, program, args, **more)


def pypi(*requirements: str, program: str, args: tuple[str, ...] = (), **more: Any) -> Package:
    return Package("pypi", requirements, program, args, **more)


@pytest.mark.parametrize(
    ("line", "package"),
    [
        ("npx -y @scope/server /tmp", npm("@scope/server", args=("/tmp",))),
        ("npx --yes @scope/server@1.2.3", npm("@scope/server@1.2.3")),
        ("/usr/local/bin/npx server@^1 --port 3", npm("server@^1", args=("--port", "3"))),
        ("npx -y -- server -y", npm("server", args=("-y",))),
        ("npx server -- --flag", npm("server", args=("--flag",))),
        ("npx -p one@1 -p two tool --help", npm("one@1", "two", program="tool", args=("--help",))),
        ("npx --package=one tool", npm("one", program="tool")),
        (
            "npx --registry https://npm.example server",
            npm("server", settings={"npm_config_registry": "https://npm.example"}),
        ),
        ("npm exec server", npm("server")),
        ("bunx server", npm("server")),
        ("pnpm dlx server", npm("server")),
        ("uvx mcp-server-time", pypi("mcp-server-time", program="mcp-server-time")),
        ("uvx server@1.2 --zone UTC", pypi("server==1.2", program="server", args=("--zone", "UTC"))),
        ("uvx server@latest", pypi("server", program="server")),
        ("uvx server>=1,<2", pypi("server>=1,<2", program="server")),
        ("uvx --from mcp[cli]==1.2 mcp run", pypi("mcp[cli]==1.2", program="mcp", args=("run",))),
        ("uvx --with a,b --with c server", pypi("server", "a", "b", "c", program="server")),
        ("uvx -p 3.12 -q server", pypi("server", program="server", python="3.12")),
        (
            "uvx --index-url https://pypi.example/simple --prerelease=allow server",
            pypi(
                "server",
                program="server",
                settings={"UV_INDEX_URL": "https://pypi.example/simple", "UV_PRERELEASE": "allow"},
            ),
        ),
        ("uv tool run server -v", pypi("server", program="server", args=("-v",))),
        ("pipx run server==2 --x", pypi("server==2", program="server", args=("--x",))),
        ("pipx run --spec package==3 tool", pypi("package==3", program="tool")),
    ],
)
def test_a_command_names_a_package(line: str, package: Package) -> None:
    command, *args = line.split()

    assert parse(command, args) == package


@pytest.mark.parametrize(
    "line", ["node server.js", "python -m server", "mcp-server-time", "uv run x", "npm start", "pipx list"]
)
def test_other_commands_are_programs_of_the_machine(line: str) -> None:
    command, *args = line.split()

    assert parse(command, args) is None


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("npx github:owner/repository", "'github:owner/repository' is not a package of an npm registry"),
        ("npx ./server", "'./server' is not a package"),
        ("npx https://example.com/server.tgz", "is not a package"),
        ("npx -c server", "the option -c can not be followed"),
        ("npx -y", "no package is named"),
        ("npx -p", "the option -p has no value"),
        ("uvx --from git+https://example.com/x.git server", "is not a package of a Python index"),
        ("uvx --from . server", "is not a package"),
        ("uvx --with-editable . server", "the option --with-editable can not be followed"),
        ("pipx run https://example.com/script.py", "is not a package"),
        ("pipx run --pip-args=--trusted-host=x server", "the option --pip-args can not be followed"),
    ],
)
def test_what_can_not_be_installed_is_a_sentence(line: str, sentence: str) -> None:
    command, *args = line.split()

    with pytest.raises(NotInstallable, match=sentence.replace("(", r"\(")):
        parse(command, args)

"""README.rst is true: its commands work as printed, and it names what there is."""

import re
from collections.abc import Iterator
from pathlib import Path

import docutils.core
import docutils.utils
import pytest

from archestra_gateway.cli import cli
from archestra_gateway.daemon.exit_code import ExitCode
from archestra_gateway.router import ROUTES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.rst").read_text()


def test_it_is_well_formed() -> None:
    docutils.core.publish_doctree(
        README, settings_overrides={"report_level": 2, "halt_level": 2, "syntax_highlight": "none"}
    )


def verbs() -> Iterator[str]:
    for name, command in cli.commands.items():
        inner = getattr(command, "commands", None)
        yield from (f"{name} {verb}" for verb in inner) if inner else [name]


@pytest.mark.parametrize("verb", list(verbs()))
def test_it_names_every_verb(verb: str) -> None:
    assert f"``archestra-gateway {verb}``" in README


@pytest.mark.parametrize("code", list(ExitCode), ids=lambda code: code.name)
def test_it_names_every_exit_code(code: ExitCode) -> None:
    paragraph = next(part for part in README.split("\n\n") if part.startswith("Exit codes:"))

    assert re.search(rf"\b{code.value}\b", paragraph)


def test_the_map_names_every_room() -> None:
    package = ROOT / "archestra_gateway"
    rooms = {f"``{path.name}/``" for path in package.iterdir() if (path / "__init__.py").exists()}

    assert {room for room in rooms if room not in README} == set()


@pytest.mark.parametrize("tag", sorted({row.operation.split(".")[0] for row in ROUTES}))
def test_it_names_what_the_api_is_about(tag: str) -> None:
    assert f"``{tag}``" in README

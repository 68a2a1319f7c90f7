"""Generated documents and how many of them, homes of people, and what is written into their files."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from archestra_gateway.client_configs.backups import Backups
from archestra_gateway.client_configs.entry import Bridge, Remote

KEYS = ("mcpServers", "archestra", "a", "b", "c d", 'q"', "//", "é", "amp.mcpServers")
ATOMS = ("null", "true", "-1.5e3", "0", '"text"', '"// not a comment"', '"\\u00e9 \\" , }"', '"{[/*"')
LINES = ("\n", "\r\n")
UNITS = ("  ", "    ", "\t", "")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--documents", type=int, default=5000, help="generated documents in each fuzz test")
    parser.addoption(
        "--write-golden", action="store_true", help="write the golden files anew, to be reviewed"
    )


@pytest.fixture
def documents(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--documents", default=5000))


@pytest.fixture
def write_jsonc() -> Callable[[bytes], tuple[str, Any]]:
    """A document and its value, made from any bytes: each is one choice."""
    return lambda entropy: _Writer(iter(entropy)).document()


@pytest.fixture
def remote() -> Remote:
    """The gateway's own server, as a client without a token gets it."""
    return Remote("archestra", "http://localhost:54587/mcp")


@pytest.fixture
def bridge() -> Bridge:
    return Bridge("archestra", "/usr/bin/archestra-gateway", ("mcp-stdio",))


@pytest.fixture
def backups(tmp_path: Path) -> Backups:
    return Backups(tmp_path / "data", kept=5)


class _Writer:
    def __init__(self, entropy: Iterator[int]) -> None:
        self.entropy = entropy
        self.newline = self.choose(LINES)
        self.unit = self.choose(UNITS)
        self.is_plain = self.choose((False, False, True))
        self.has_comments = not self.is_plain and self.choose((True, True, False))
        self.trailing = self.has_comments and self.choose((False, True))

    def choose(self, options: Any) -> Any:
        return options[next(self.entropy, 0) % len(options)]

    def document(self) -> tuple[str, Any]:
        body, value = self.object(0)
        bom = self.choose(("", "", "\ufeff"))
        return bom + self.gap(0) + body + self.gap(0), value

    def value(self, depth: int) -> tuple[str, Any]:
        kind = self.choose(("atom", "atom", "object", "array")) if depth < 5 else "atom"
        if kind == "object":
            return self.object(depth)
        if kind == "array":
            return self.array(depth)
        atom = self.choose(ATOMS)
        return atom, json.loads(atom)

    def object(self, depth: int) -> tuple[str, Any]:
        value: dict[str, Any] = {}
        parts = []
        for _ in range(self.choose((0, 1, 2, 3))):
            key = self.choose(KEYS)
            body, held = self.value(depth + 1)
            value[key] = held
            colon = (
                self.choose((": ", ":", " : ")) if self.is_plain else self.gap(depth) + ":" + self.gap(depth)
            )
            parts.append(json.dumps(key, ensure_ascii=False) + colon + body)
        return "{" + self.joined(parts, depth) + "}", value

    def array(self, depth: int) -> tuple[str, Any]:
        made = [self.value(depth + 1) for _ in range(self.choose((0, 1, 2)))]
        return "[" + self.joined([body for body, _ in made], depth) + "]", [held for _, held in made]

    def joined(self, parts: list[str], depth: int) -> str:
        if self.is_plain:
            inner = self.newline + self.unit * (depth + 1)
            return inner + ("," + inner).join(parts) + self.newline + self.unit * depth if parts else ""
        text = "".join(
            self.gap(depth + 1) + part + self.gap(depth) + ("," if index + 1 < len(parts) else "")
            for index, part in enumerate(parts)
        )
        return text + ("," if parts and self.trailing else "") + self.gap(depth)

    def gap(self, depth: int) -> str:
        if self.is_plain:
            return ""
        spaces = ["", " ", self.newline + self.unit * depth, "  "]
        comments = [f" // x }} ,{self.newline}", "/* a, { */", f"/* {self.newline} */", f"//{self.newline}"]
        return str(self.choose(spaces + comments if self.has_comments else spaces))

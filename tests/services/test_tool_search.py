"""Finding a tool by what it should do."""

from typing import Any

from archestra_gateway.services.tool_search import document, rank, token_cost, words

TOOLS: dict[str, dict[str, Any]] = {
    "files__read_file": {"description": "Read the contents of a file"},
    "files__list_directory": {"description": "List the files of a folder"},
    "github__create_issue": {"description": "Open an issue in a repository"},
    "weather__forecast": {"inputSchema": {"properties": {"city": {"description": "Name of the town"}}}},
    "strange": {"description": 7, "inputSchema": {"properties": [1]}},
}
NAMES = list(TOOLS)
DOCUMENTS = [document(name, tool) for name, tool in TOOLS.items()]


def found(query: str) -> list[str]:
    return [NAMES[place] for place in rank(query, DOCUMENTS)]


def test_words_are_found_in_every_way_of_writing_them() -> None:
    assert words("readFile_v2 HTTPServers") == ["read", "file", "v", "2", "httpserver"]


def test_the_best_fit_comes_first_and_what_does_not_fit_not_at_all() -> None:
    assert found("read a file")[0] == "files__read_file"
    assert found("create issues on GitHub") == ["github__create_issue"]
    assert found("in which town") == ["weather__forecast", "github__create_issue"]
    assert found("quantum") == found("") == rank("x", []) == []


def test_a_definition_costs_a_token_for_every_four_bytes() -> None:
    assert [token_cost(b"x" * size) for size in (0, 1, 4, 5)] == [0, 1, 1, 2]

"""What may be read in a log, and what may not."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from archestra_gateway import log
from archestra_gateway.config import LogConfig

SECRET = 'päss"word/1'


@pytest.fixture
def redactor() -> log.Redactor:
    redactor = log.Redactor()
    redactor.replace("mcp_server:files", [SECRET, "short", "sk-12345678"])
    return redactor


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def test_a_line_shows_the_request_it_belongs_to(stream: io.StringIO, redactor: log.Redactor) -> None:
    log.set_up(LogConfig(), redactor, stream)

    token = log.request_id.set("0123abcd")
    logging.getLogger("archestra_gateway.test").info("Started %s", "files")
    log.request_id.reset(token)
    logging.getLogger("archestra_gateway.test").debug("Not asked for")

    (line,) = stream.getvalue().splitlines()
    assert line.endswith("INFO    archestra_gateway.test [0123abcd] Started files")


def test_json_lines_are_for_programs(stream: io.StringIO, redactor: log.Redactor) -> None:
    log.set_up(LogConfig(format="json", level="debug"), redactor, stream)

    try:
        raise LookupError(SECRET)
    except LookupError:
        logging.getLogger("a").exception("Two\nlines with %s", SECRET)

    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert entry["message"] == "Two\nlines with [redacted]"
    assert entry["exception"].endswith("LookupError: [redacted]")
    assert (entry["level"], entry["logger"], entry["request_id"]) == ("error", "a", "-")
    assert entry["time"].endswith("Z")


def test_a_traceback_shows_no_secret(stream: io.StringIO, redactor: log.Redactor) -> None:
    log.set_up(LogConfig(), redactor, stream)

    try:
        raise LookupError(SECRET)
    except LookupError:
        logging.getLogger("a").exception("It failed")

    assert SECRET not in stream.getvalue()
    assert "LookupError: [redacted]" in stream.getvalue()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"a {SECRET} b", "a [redacted] b"),
        (json.dumps({"key": SECRET}), '{"key": "[redacted]"}'),
        (json.dumps({"key": SECRET}, ensure_ascii=False), '{"key": "[redacted]"}'),
        ("/callback?code=p%C3%A4ss%22word%2F1", "/callback?code=[redacted]"),
        ("short", "short"),
    ],
)
def test_a_secret_is_found_in_every_spelling(redactor: log.Redactor, text: str, shown: str) -> None:
    assert redactor.text(text) == shown
    assert redactor.bytes(text.encode() + b"\xff") == shown.encode() + b"\xff"


def test_a_secret_within_another_leaves_no_rest(redactor: log.Redactor) -> None:
    redactor.replace("llm_provider:openai", ["sk-12345678-and-more"])

    assert redactor.text("sk-12345678-and-more sk-12345678") == "[redacted] [redacted]"


def test_the_first_part_of_a_secret_at_a_cut_goes_too(redactor: log.Redactor) -> None:
    assert redactor.cut_text("the key is sk-12345") == "the key is [redacted]"
    assert redactor.cut_text("the key is sk-12") == "the key is sk-12"


def test_an_owner_takes_its_secrets_along(redactor: log.Redactor) -> None:
    redactor.replace("token", ["sk-12345678"])
    redactor.forget("mcp_server:files")

    assert redactor.text(f"{SECRET} sk-12345678") == f"{SECRET} [redacted]"


@pytest.mark.parametrize(
    "name",
    ["Authorization", "cookie", "Set-Cookie", "X-Api-Key", "x-goog-api-key", "X-Auth-Token", "api-key"],
)
def test_credential_headers_are_known_by_name(name: str) -> None:
    assert log.is_credential(name)


@pytest.mark.parametrize("name", ["Accept", "Mcp-Session-Id", "x-ratelimit-remaining-tokens", "Content-Type"])
def test_other_headers_are_shown(name: str) -> None:
    assert not log.is_credential(name)

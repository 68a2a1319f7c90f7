"""What a person can set, where, and what they are told when it is wrong."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from archestra_gateway import settings
from archestra_gateway.config import Config, ServerConfig
from archestra_gateway.config_sources import ConfigError, load, ollama_url

EXAMPLE = Path(__file__).parent.parent / "config.example.toml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text("")
    return path


def problems(file: Path, flags: dict[str, Any] | None = None, **environment: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as refused:
        load(flags or {}, environment, file)
    return refused.value.problems


def test_without_anything_said_the_defaults_hold(file: Path) -> None:
    loaded = load({}, {}, file)

    assert loaded.config == Config()
    assert set(loaded.origins.values()) == {"default"}


def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default(file: Path) -> None:
    file.write_text("[server]\nport = 1001\nmax_body = 1\n[log]\nlevel = 'debug'\n")
    environment = {"ARCHESTRA_SERVER_PORT": "1002", "ARCHESTRA_LOG_LEVEL": "warning"}

    loaded = load({"server.port": 1003, "log.level": None}, environment, file)

    assert (loaded.config.server.port, loaded.origins["server.port"]) == (1003, "flag --port")
    assert (loaded.config.log.level, loaded.origins["log.level"]) == (
        "warning",
        "environment ARCHESTRA_LOG_LEVEL",
    )
    assert (loaded.config.server.max_body, loaded.origins["server.max_body"]) == (1, str(file))
    assert loaded.origins["log.format"] == "default"


def test_the_environment_says_every_kind_of_value(file: Path) -> None:
    environment = {
        "ARCHESTRA_SERVER_BIND": "127.0.0.1, ::1",
        "ARCHESTRA_SERVER_DATA_DIR": "~/here",
        "ARCHESTRA_SERVER_HEADER_TIMEOUT": "2.5",
        "ARCHESTRA_SECURITY_REQUIRE_TOKEN": "yes",
        "ARCHESTRA_LLM_OLLAMA_URL": "http://gpu:11434",
        "ARCHESTRA_MCP_MAX_CHILDREN": "",
    }

    config = load({}, environment, file).config

    assert config.server.bind == ("127.0.0.1", "::1")
    assert config.server.data_dir == Path.home() / "here"
    assert config.server.header_timeout == 2.5
    assert config.security.require_token is True
    assert config.llm.ollama.url == "http://gpu:11434"
    assert config.mcp.max_children == Config().mcp.max_children


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[server]\nprot = 1", "server.prot is not a setting; did you mean server.port?"),
        ("[llm.olama]\nurl = 'x'", "llm.olama is not a setting; did you mean llm.ollama?"),
        ("colour = 'red'", "colour is not a setting"),
        ("server = 5", "server must be a table: [server]"),
        ("[server]\nport = '80'", "server.port must be a whole number, not text in quotes"),
        ("[server]\nport = true", "server.port must be a whole number, not true or false"),
        ("[server]\nport = 65536", "server.port must be between 0 and 65535, not 65536"),
        ("[server]\nbind = '::1'", "server.bind must be a list of texts, not text in quotes"),
        ("[server]\nbind = []", "server.bind must not be empty, not ()"),
        ("[server]\nbind = ['lo']", "server.bind must be IP addresses such as 127.0.0.1 or ::1, not 'lo'"),
        ("[server]\ndata_dir = 'x'", "server.data_dir must be an absolute path or begin with ~, not 'x'"),
        ("[server]\nheader_timeout = nan", "server.header_timeout must be between 0 and 31622400, not nan"),
        ("[log]\nlevel = 'loud'", "log.level must be one of debug, info, warning, error, not 'loud'"),
        (
            "[security]\nallowed_origins = ['*']",
            "security.allowed_origins must be origins such as http://localhost:1420, without a path, not '*'",
        ),
        (
            "[server]\nbase_url = 'localhost:1'",
            "server.base_url must be a URL such as http://localhost:54587, without query or user name,"
            " not 'localhost:1'",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(file: Path, text: str, sentence: str) -> None:
    file.write_text(text)

    assert problems(file) == (f"{file}: {sentence}",)


def test_everything_that_is_wrong_is_said_at_once(file: Path) -> None:
    file.write_text("[server]\nport = -1\nprot = 1\n")

    assert len(problems(file, ARCHESTRA_LOG_LEVEL="loud")) == 3


def test_a_file_that_is_not_toml_is_refused_with_line_and_column(file: Path) -> None:
    file.write_text("[server\n")

    (problem,) = problems(file)

    assert problem.startswith(f"{file} is not valid TOML: ")
    assert "line 1" in problem


def test_a_file_asked_for_by_name_must_be_there(tmp_path: Path) -> None:
    gone = tmp_path / "gone.toml"

    assert problems(gone) == (f"There is no configuration file {gone}",)
    with pytest.raises(ConfigError):
        load({}, {"ARCHESTRA_CONFIG": str(gone)})


def test_a_wrong_variable_is_refused_by_its_name(file: Path) -> None:
    assert problems(file, ARCHESTRA_SERVER_PORT="http") == (
        "ARCHESTRA_SERVER_PORT must be a whole number, not 'http'",
    )
    assert problems(file, ARCHESTRA_SERVER_PROT="1") == (
        "ARCHESTRA_SERVER_PROT is not a setting; did you mean ARCHESTRA_SERVER_PORT?",
    )


def test_variables_of_the_products_other_programs_are_left_alone(file: Path) -> None:
    assert load({}, {"ARCHESTRA_DESKTOP_THEME": "dark"}, file).config == Config()


@pytest.mark.parametrize(
    ("base_url", "port"),
    [
        ("http://localhost:6000", 6000),
        ("https://gateway.example:6000", 54587),
        ("http://gateway.example", 54587),
    ],
)
def test_the_daemon_listens_where_the_base_url_says(file: Path, base_url: str, port: int) -> None:
    loaded = load({}, {"ARCHESTRA_SERVER_BASE_URL": base_url}, file)

    assert loaded.config.server.port == port
    assert loaded.config.server.url == base_url


def test_a_port_that_is_set_beats_that_of_the_base_url(file: Path) -> None:
    loaded = load({"server.port": 6001}, {"ARCHESTRA_SERVER_BASE_URL": "http://localhost:6000/"}, file)

    assert loaded.config.server.port == 6001
    assert loaded.config.server.url == "http://localhost:6000"


def test_without_a_base_url_clients_are_told_localhost() -> None:
    assert ServerConfig(port=6002).url == "http://localhost:6002"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("gpu", "http://gpu:11434"),
        ("gpu:8080", "http://gpu:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("[::]:8080", "http://[::1]:8080"),
        ("::1", "http://[::1]:11434"),
        ("http://gpu", "http://gpu:80"),
        ("https://gpu", "https://gpu:443"),
        ("https://gpu:8080/ollama/", "https://gpu:8080/ollama"),
        ("gpu:99999", "http://gpu:11434"),
        (' "gpu" ', "http://gpu:11434"),
    ],
)
def test_ollama_host_means_what_ollama_means_by_it(text: str, url: str) -> None:
    assert ollama_url(text) == url


def test_ollama_host_is_a_default_that_our_own_settings_beat(file: Path) -> None:
    environment = {"OLLAMA_HOST": "gpu:8080"}
    assert load({}, environment, file).config.llm.ollama.url == "http://gpu:8080"
    assert load({}, environment, file).origins["llm.ollama.url"] == "environment OLLAMA_HOST"

    file.write_text("[llm.ollama]\nurl = 'http://other:1'")

    assert load({}, environment, file).config.llm.ollama.url == "http://other:1"


def test_the_example_is_what_the_classes_say() -> None:
    assert EXAMPLE.read_text() == settings.example(), "archestra-gateway config example > config.example.toml"


def test_the_example_holds_every_setting_and_loads_to_the_defaults(file: Path) -> None:
    file.write_text(re.sub(r"(?m)^#(\w+ = )", r"\1", EXAMPLE.read_text()))

    loaded = load({}, {}, file)

    assert loaded.config == Config()
    assert set(loaded.origins.values()) == {str(file)}


def test_the_example_changes_nothing_as_it_lies_there() -> None:
    assert tomllib.loads(EXAMPLE.read_text())["server"] == {}


def test_every_setting_has_a_line_that_explains_it() -> None:
    assert all(setting.help.endswith(".") for setting in settings.SETTINGS.values())

"""Where the values of the settings come from: flags > environment > TOML file > defaults."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import platformdirs

from archestra_gateway.config import Config
from archestra_gateway.settings import SETTINGS, TABLES, Setting, build

DEFAULT_PATH = Path(platformdirs.user_config_dir("archestra-gateway", appauthor=False)) / "config.toml"
PATH_VARIABLE = "ARCHESTRA_CONFIG"
OLLAMA_PORT = 11434


class ConfigError(Exception):
    """`problems` has one sentence for each thing that is wrong, with its place."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@attrs.frozen
class Loaded:
    """`origins` says for each key where its value came from; `found` whether there is a file at `path`."""

    config: Config
    origins: Mapping[str, str]
    path: Path
    found: bool

    @property
    def named(self) -> Path | None:
        """The file, where it is not the one that everybody looks for."""
        return self.path if self.found and self.path != DEFAULT_PATH else None


def path_of(flag: Path | None, environment: Mapping[str, str]) -> Path:
    """The file that `load` reads."""
    return Path(flag or environment.get(PATH_VARIABLE) or DEFAULT_PATH).expanduser().absolute()


def load(flags: Mapping[str, Any], environment: Mapping[str, str], path: Path | None = None) -> Loaded:
    """`flags` has values by key; None means not given. Raises ConfigError with everything that is wrong.

    A file that was asked for by name must be there; the one in the default place need not.
    """
    file = path_of(path, environment)
    document = _read(file, required=file != DEFAULT_PATH)
    problems: list[str] = []
    entries = dict(_flatten(document or {}, "", file, problems))
    problems += _unknown_variables(environment)
    values: dict[str, Any] = {}
    origins = dict.fromkeys(SETTINGS, "default")
    for key, setting in SETTINGS.items():
        try:
            given = _given(setting, flags, environment, entries, file)
            if given:
                values[key], origins[key] = given
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError(*problems)
    _take_port_of_base_url(values, origins)
    return Loaded(build(values), origins, file, document is not None)


def _given(
    setting: Setting,
    flags: Mapping[str, Any],
    environment: Mapping[str, str],
    entries: Mapping[str, Any],
    file: Path,
) -> tuple[Any, str] | None:
    """The value that wins and its origin. Raises ValueError with the whole sentence."""
    key = setting.key
    if flags.get(key) is not None:
        option = f"--{setting.field.name.replace('_', '-')}"
        return _named(option, setting.from_toml, flags[key]), f"flag {option}"
    if environment.get(setting.variable):
        value = _named(setting.variable, setting.from_text, environment[setting.variable])
        return value, f"environment {setting.variable}"
    if key in entries:
        return _named(f"{file}: {key}", setting.from_toml, entries[key]), str(file)
    if key == "llm.ollama.url" and environment.get("OLLAMA_HOST", "").strip():
        url = ollama_url(environment["OLLAMA_HOST"])
        return _named("OLLAMA_HOST", setting.from_text, url), "environment OLLAMA_HOST"
    return None


def _named(place: str, convert: Any, value: Any) -> Any:
    try:
        return convert(value)
    except ValueError as error:
        raise ValueError(f"{place} {error}") from error


def _read(file: Path, *, required: bool) -> dict[str, Any] | None:
    try:
        return tomllib.loads(file.read_text("utf-8-sig"))
    except FileNotFoundError as error:
        if not required:
            return None
        raise ConfigError(f"There is no configuration file {file}") from error
    except OSError as error:
        raise ConfigError(f"{file} can not be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{file} is not valid TOML: {error}") from error


def _flatten(
    table: Mapping[str, Any], name: str, file: Path, problems: list[str]
) -> Iterator[tuple[str, Any]]:
    """(key, value) of every known setting; what is not known becomes a problem."""
    for part, value in table.items():
        key = f"{name}.{part}".lstrip(".")
        if key in SETTINGS:
            yield key, value
        elif key in TABLES and isinstance(value, dict):
            yield from _flatten(value, key, file, problems)
        elif key in TABLES:
            problems.append(f"{file}: {key} must be a table: [{key}]")
        else:
            problems.append(f"{file}: {key} is not a setting{_did_you_mean(key, [*SETTINGS, *TABLES])}")


def _unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Other programs of the product have variables too, so only those that begin like a table of ours."""
    variables = [setting.variable for setting in SETTINGS.values()]
    ours = tuple(f"ARCHESTRA_{table.upper().replace('.', '_')}_" for table in TABLES)
    return [
        f"{name} is not a setting{_did_you_mean(name, variables)}"
        for name in sorted(environment)
        if name.startswith(ours) and name not in variables
    ]


def _did_you_mean(word: str, known: list[str]) -> str:
    from difflib import get_close_matches  # only needed when something is wrong

    close = get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _take_port_of_base_url(values: dict[str, Any], origins: dict[str, str]) -> None:
    """Clients are told an http URL with a port: so that is where we listen, unless `port` says otherwise.

    The port of an https URL is that of a proxy in front of us.
    """
    url = urlsplit(values.get("server.base_url", ""))
    if "server.port" not in values and url.scheme == "http" and url.port:
        values["server.port"] = url.port
        origins["server.port"] = f"server.base_url ({origins['server.base_url']})"


def ollama_url(text: str) -> str:
    """What OLLAMA_HOST means to a client, by Ollama's own rules (envconfig.Host): scheme, host, port and path
    are all optional, an explicit scheme brings its own default port, a wrong port is ignored, and "every
    address" is reached through the loopback."""
    scheme, separator, rest = text.strip().strip("\"'").rpartition("://")
    default = {"http": 80, "https": 443}[scheme] if separator and scheme in ("http", "https") else OLLAMA_PORT
    authority, slash, path = rest.partition("/")
    if authority.count(":") > 1 and "[" not in authority:
        authority = f"[{authority}]"
    head, colon, tail = authority.rpartition(":")
    host, port = (head, tail) if colon and "]" not in tail else (authority, "")
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104
    number = int(port) if port.isdecimal() and int(port) <= 65535 else default
    return f"{scheme or 'http'}://{host}:{number}{slash}{path}".rstrip("/")

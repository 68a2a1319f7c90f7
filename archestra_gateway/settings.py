"""Every setting as a row: its key, its environment variable, what it accepts and how it is written. Pure."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_origin

import attrs

from archestra_gateway.config import Config

YES = {"true", "yes", "on", "1"}
NO = {"false", "no", "off", "0"}
EXAMPLE_HEAD = """\
# Every setting of archestra-gateway with its default. To change one, copy this file to the place that
# `archestra-gateway config path` names, take the # away and set the value.
# A flag of `serve` wins over the environment (ARCHESTRA_SERVER_PORT for server.port), that over this file.
"""


@attrs.frozen
class Setting:
    """`table` is the TOML table, such as `llm.ollama`."""

    table: str
    field: "attrs.Attribute[Any]"

    @property
    def key(self) -> str:
        return f"{self.table}.{self.field.name}"

    @property
    def variable(self) -> str:
        return f"ARCHESTRA_{self.key.upper().replace('.', '_')}"

    @property
    def help(self) -> str:
        line: str = self.field.metadata["help"]
        return line

    def from_toml(self, value: Any) -> Any:
        """The checked value. Raises ValueError saying what it must be."""
        return self._checked(_typed(self.field.type, value))

    def from_text(self, text: str) -> Any:
        """The same for a value from the environment."""
        return self._checked(_parsed(self.field.type, text.strip()))

    def _checked(self, value: Any) -> Any:
        if self.field.validator:
            self.field.validator(None, self.field, value)
        return value


def _typed(kind: Any, value: Any) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if kind is Path and isinstance(value, str | Path):
        return Path(value).expanduser()
    if (
        get_origin(kind) is tuple
        and isinstance(value, list | tuple)
        and all(isinstance(v, str) for v in value)
    ):
        return tuple(value)
    if get_origin(kind) is not tuple and type(value) is kind:
        return value
    raise ValueError(f"must be {_name(kind)}, not {_name(type(value))}")


def _parsed(kind: Any, text: str) -> Any:
    if kind is Path:
        return Path(text).expanduser().absolute()
    if get_origin(kind) is tuple:
        return tuple(item.strip() for item in text.split(",") if item.strip())
    if kind is bool and text.lower() in YES | NO:
        return text.lower() in YES
    if kind in (int, float):
        return _number(kind, text)
    if kind is str:
        return text
    raise ValueError(f"must be {_name(kind)}, not {text!r}")


def _number(kind: type, text: str) -> Any:
    try:
        return kind(text)
    except ValueError as error:
        raise ValueError(f"must be {_name(kind)}, not {text!r}") from error


NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text in quotes",
    Path: "a path in quotes",
    list: "a list",
    dict: "a table",
}


def _name(kind: Any) -> str:
    if get_origin(kind) is tuple:
        return "a list of texts"
    return NAMES.get(kind, f"a {getattr(kind, '__name__', kind)}")


def _walk(section: type, table: str) -> Iterator[Setting]:
    nested = []
    for field in attrs.fields(section):
        if isinstance(field.type, type) and attrs.has(field.type):
            nested.append((field.type, f"{table}.{field.name}".lstrip(".")))
        else:
            yield Setting(table, field)
    for kind, name in nested:
        yield from _walk(kind, name)


SETTINGS = {setting.key: setting for setting in _walk(Config, "")}
TABLES = frozenset(
    ".".join(setting.table.split(".")[:depth]) for setting in SETTINGS.values() for depth in (1, 2)
)


def build(values: dict[str, Any]) -> Config:
    """The Config whose settings are `values`, by key; what is missing has its default."""
    config: Config = _section(Config, "", values)
    return config


def _section(kind: type, table: str, values: dict[str, Any]) -> Any:
    arguments: dict[str, Any] = {}
    for field in attrs.fields(kind):
        key = f"{table}.{field.name}".lstrip(".")
        if key in SETTINGS:
            if key in values:
                arguments[field.name] = values[key]
        else:
            arguments[field.name] = _section(field.type, key, values)
    return kind(**arguments)


def value_of(config: Config, key: str) -> Any:
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


def toml(value: Any) -> str:
    """As TOML writes it; a JSON string is a TOML basic string."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False)
    return str(value).lower()


def example() -> str:
    """The text of config.example.toml."""
    lines = [EXAMPLE_HEAD]
    table = ""
    for setting in SETTINGS.values():
        if setting.table != table:
            table = setting.table
            lines.append(f"[{table}]\n")
        default = setting.field.metadata["shown"] or setting.field.default
        lines.append(f"# {setting.help}\n#{setting.field.name} = {toml(default)}\n")
    return "\n".join(lines)

"""Every file format behind the same four verbs; what a verb wrote is read again before anybody sees it."""

from enum import StrEnum
from typing import Any

from archestra_gateway.client_configs import jsonc, toml, yaml
from archestra_gateway.client_configs.json_tree import BOM, Dialect, FormatError
from archestra_gateway.client_configs.section import (
    Section,
    is_empty,
    with_entry,
    without_empties,
    without_empty,
    without_entry,
)
from archestra_gateway.client_configs.section import entries as entries_of


class Format(StrEnum):
    JSON = "json"
    JSON_WITH_COMMENTS = "json_with_comments"
    JSONC = "jsonc"
    TOML = "toml"
    YAML = "yaml"


DIALECTS = {
    Format.JSON: Dialect(),
    Format.JSON_WITH_COMMENTS: Dialect(comments=True),
    Format.JSONC: Dialect(comments=True, trailing_commas=True),
}


def load(form: Format, text: str) -> Any:
    """The whole document as plain values, `{}` for an empty one. Raises FormatError."""
    document = _load(form, text)
    if not isinstance(document, dict):
        raise FormatError("the document is not a map of names to values")
    return document


def entries(form: Format, text: str, section: Section) -> dict[str, Any]:
    """The servers that the file has, by name. Raises FormatError."""
    return entries_of(load(form, text), section)


def set_entry(form: Format, text: str, section: Section, name: str, entry: dict[str, Any]) -> str:
    """`text` with `entry` as `name`. Raises FormatError when the rest would not stay as it is."""
    expected = with_entry(load(form, text), section, name, entry)
    bom, body = _split(text)
    if form is Format.TOML:
        new = toml.set_entry(body, section.path, name, entry)
    elif form is Format.YAML:
        new = yaml.set_entry(body, section, name, entry)
    else:
        new = jsonc.set_member(body, (*section.path, name), entry, DIALECTS[form])
    return _checked(form, bom + new, expected)


def remove_entry(form: Format, text: str, section: Section, name: str, made: int = 0) -> str:
    """`text` without `name`, and without the last `made` keys of the path where nothing is left in them."""
    document = load(form, text)
    if name not in entries_of(document, section):
        return text
    expected = without_entry(document, section, name)
    new = _remove(form, text, section, name)
    if form is Format.TOML and without_empties(load(form, new), section.path) == load(form, new):
        expected = without_empties(expected, section.path)
    new = _checked(form, new, expected)
    for depth in range(len(section.path), len(section.path) - made, -1):
        path = section.path[:depth]
        document = load(form, new)
        if path and is_empty(document, path):
            parent = Section(path[:-1])
            new = _checked(form, _remove(form, new, parent, path[-1]), without_empty(document, path))
    return new


def _remove(form: Format, text: str, section: Section, name: str) -> str:
    bom, body = _split(text)
    if form is Format.TOML:
        return bom + toml.remove_entry(body, section.path, name)
    if form is Format.YAML:
        return bom + yaml.remove_entry(body, section, name)
    return bom + jsonc.remove_member(body, (*section.path, name), DIALECTS[form])


def _load(form: Format, text: str) -> Any:
    _, body = _split(text)
    if form is Format.TOML:
        return toml.load(body)
    if form is Format.YAML:
        return yaml.load(body)
    return jsonc.load(body, DIALECTS[form])


def _checked(form: Format, text: str, expected: Any) -> str:
    try:
        is_right = bool(load(form, text) == expected)
    except FormatError:
        is_right = False
    if not is_right:
        raise FormatError("it is written in a way that can not be changed safely; edit it by hand")
    return text


def _split(text: str) -> tuple[str, str]:
    return (BOM, text[len(BOM) :]) if text.startswith(BOM) else ("", text)

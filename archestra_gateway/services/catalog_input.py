"""What a person gave for the inputs of a recipe: checked, and secrets apart from the rest."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from archestra_gateway.catalog.recipe import Input, Recipe, Values
from archestra_gateway.errors import ValidationFailed
from archestra_gateway.services.mcp_server_secrets import is_secret
from archestra_gateway.services.secret import REFERENCE

LONGEST_SECRET_NAME = 64
EXAMPLE = re.compile(
    r"<[^<>]+>|\S*(?:your|my|insert|replace|change)[-_ ]?\S*?[-_ ]?(?:key|token|secret|password|here|me)\b\S*"
    r"|\S*(?:\*{3,}|x{4,}|\.{3}|…)",
    re.IGNORECASE,
)
EXAMPLE_PATH = re.compile(
    r"<[^<>]+>|(?:[A-Za-z]:)?/?(?:path|absolute)/(?:to|path)/\S*|/Users/(?:username|you)/\S*"
)


@attrs.frozen
class Given:
    """`values` have references in place of secrets; those that are to be stored are `to_store`, by name."""

    values: Values
    missing: tuple[str, ...]
    to_store: Mapping[str, str] = attrs.field(repr=False)


def with_examples_asked(recipe: Recipe) -> Recipe:
    """`YOUR_API_KEY` and `/path/to/folder`, as they stand in a README, are what a person has to tell."""
    asked: list[Input] = []

    def replaced(name: str, text: str, *, is_path: bool = False) -> str:
        found = EXAMPLE_PATH.search(text) if is_path else EXAMPLE.search(text) if is_secret(name) else None
        if found is None or "${" in text:
            return text
        asked.append(Input(name=name, description=f"In place of {text}", type="file" if is_path else "text"))
        return text.replace(found[0], f"${{input:{name}}}")

    env = {name: replaced(name, text) for name, text in recipe.env.items()}
    headers = {name: replaced(name, text) for name, text in recipe.headers.items()}
    args = tuple(
        tuple(replaced(f"argument{place}", text, is_path=True) for text in group)
        for place, group in enumerate(recipe.args)
    )
    paths = (f"${{input:{each.name}}}" for each in asked if each.type == "file")
    grants = attrs.evolve(recipe.grants, read_only=(*recipe.grants.read_only, *paths))
    inputs = (*recipe.inputs, *asked)
    return attrs.evolve(recipe, env=env, headers=headers, args=args, inputs=inputs, grants=grants)


def with_secrets_marked(recipe: Recipe) -> Recipe:
    """What is called like a secret is one, whether or not the author said so; not in what everybody sees."""
    exposed = recipe.exposed()
    marked = (
        attrs.evolve(each, secret=each.secret or (is_secret(each.name) and each.name not in exposed))
        for each in recipe.inputs
    )
    return attrs.evolve(recipe, inputs=tuple(marked))


def given(recipe: Recipe, server: str, inputs: Mapping[str, Any], taken: Iterable[str]) -> Given:
    """`taken` are the names of secrets that there are. Raises ValidationFailed."""
    values: dict[str, tuple[str, ...]] = {}
    to_store: dict[str, str] = {}
    missing: list[str] = []
    mistakes: dict[str, str] = {}
    used = recipe.used()
    for asked in (each for each in recipe.inputs if each.name in used):
        try:
            texts = _texts(asked, inputs[asked.name]) if asked.name in inputs else _default(asked)
        except ValueError as error:
            mistakes[f"inputs.{asked.name}"] = f"`inputs.{asked.name}` {error}"
            continue
        if not texts:
            if asked.required:
                missing.append(asked.name)
        elif asked.secret and not REFERENCE.fullmatch(texts[0]):
            name = _free(f"{server}.{asked.name}", {*taken, *to_store})
            to_store[name] = texts[0]
            values[asked.name] = (f"${{secret:{name}}}",)
        else:
            values[asked.name] = texts
    if mistakes:
        raise ValidationFailed("; ".join(mistakes.values()), fields=mistakes)
    return Given(values, tuple(missing), to_store)


def unknown(recipes: Iterable[Recipe], inputs: Mapping[str, Any]) -> ValidationFailed | None:
    """A mistyped name is told, and not passed over."""
    known = {each.name for recipe in recipes for each in recipe.inputs}
    wrong = [name for name in inputs if name not in known]
    if not wrong:
        return None
    named = f"known are: {', '.join(sorted(known))}" if known else "nothing is asked for"
    fields = {f"inputs.{name}": f"`inputs.{name}` is not known here; {named}" for name in wrong}
    return ValidationFailed("; ".join(fields.values()), fields=fields)


def _default(asked: Input) -> tuple[str, ...]:
    """A default that does not fit this machine is no default."""
    try:
        return _texts(asked, list(asked.default) if asked.multiple else "".join(asked.default[:1]))
    except ValueError:
        return ()


def _texts(asked: Input, value: Any) -> tuple[str, ...]:
    """Raises ValueError whose words follow the input's name."""
    several = value if isinstance(value, list) else [value]
    if len(several) > 1 and not asked.multiple:
        raise ValueError("takes one value")
    texts = [_text(each) for each in several]
    return tuple(_checked(asked, text) for text in texts if text)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("must be text, a number, true or false, or a list of them")
    return value


def _checked(asked: Input, text: str) -> str:
    if asked.choices and text not in asked.choices:
        raise ValueError(f"must be one of {', '.join(asked.choices)}")
    if asked.type == "number":
        return _number(asked, text)
    if asked.type == "boolean" and text not in ("true", "false"):
        raise ValueError("must be true or false")
    if asked.type in ("folder", "file"):
        return _path(asked, text)
    return text


def _number(asked: Input, text: str) -> str:
    try:
        number = float(text)
    except ValueError:
        raise ValueError("must be a number") from None
    if asked.min is not None and number < asked.min:
        raise ValueError(f"must be at least {asked.min:g}")
    if asked.max is not None and number > asked.max:
        raise ValueError(f"must be at most {asked.max:g}")
    return text


def _path(asked: Input, text: str) -> str:
    """Whole, since the server has another home than the person; what it lies in must be there."""
    path = os.path.normpath(os.path.expanduser(text))
    if not os.path.isabs(path):
        raise ValueError("must be an absolute path, or begin with `~`")
    if asked.type == "folder" and not os.path.isdir(path):
        raise ValueError(f"must be a folder; {path} is none")
    if not os.path.isdir(os.path.dirname(path)):
        raise ValueError(f"must lie in a folder that exists; {os.path.dirname(path)} does not")
    return path


def _free(name: str, taken: set[str]) -> str:
    """As names of secrets are: at most 64 letters, digits, `_`, `-` and `.`."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "_.-") else "_" for c in name)
    candidate, number = name[-LONGEST_SECRET_NAME:], 2
    while candidate in taken:
        ending = f"-{number}"
        candidate, number = name[-(LONGEST_SECRET_NAME - len(ending)) :] + ending, number + 1
    return candidate

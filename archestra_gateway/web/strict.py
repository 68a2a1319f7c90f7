"""cattrs without its leniency: nothing is converted, nothing is dropped, every mistake has its place."""

import re
import types
from collections.abc import Callable, Hashable, Iterator, Mapping
from enum import StrEnum
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.cols import list_structure_factory
from cattrs.errors import BaseValidationError
from cattrs.gen import make_dict_structure_fn, mapping_structure_factory
from multidict import MultiMapping

from archestra_gateway.errors import ValidationFailed
from archestra_gateway.web import mistakes

T = TypeVar("T")
Hook = Callable[[Any, Any], Any]

WORDS: Mapping[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def structure(value: Any, cls: type[T]) -> T:
    """JSON's plain values as a `cls`. Raises ValidationFailed."""
    return _structured(_json, value, cls)


def structure_query(values: MultiMapping[str], cls: type[T]) -> T:
    """A query string's texts as a `cls`; only a list may be given more than once. Raises ValidationFailed."""
    lists = _lists_of(cast(Hashable, cls))
    given: dict[str, Any] = {}
    for name in values:
        texts = values.getall(name)
        if len(texts) > 1 and name not in lists:
            raise mistakes.failed(ValueError(f"`{name}` is given more than once"))
        given[name] = texts if name in lists else texts[0]
    return _structured(_text, given, cls)


def _structured(converter: Converter, value: Any, cls: type[T]) -> T:
    try:
        return converter.structure(value, cls)
    except (BaseValidationError, TypeError, ValueError) as error:
        raise mistakes.failed(error) from error
    except RecursionError as error:
        raise ValidationFailed("The body is nested too deeply") from error


@cache
def _lists_of(cls: Any) -> frozenset[str]:
    return frozenset(field.name for field in attrs.fields(attrs.resolve_types(cls)) if _is_list(field.type))


def _json_hooks() -> Iterator[tuple[type, Hook]]:
    """JSON has its own types: a value either has the right one or is wrong."""
    yield str, lambda value, wanted: _checked(value, str) if wanted is str else _member(value, wanted)
    yield bool, lambda value, _: _checked(value, bool)
    yield int, lambda value, _: _checked(value, int)
    yield float, lambda value, _: float(value if type(value) is int else _checked(value, float))


def _text_hooks() -> Iterator[tuple[type, Hook]]:
    """A query string has only text, of which numbers and booleans are spelled in one way."""
    yield str, lambda value, wanted: value if wanted is str else _member(value, wanted)
    yield bool, lambda value, _: _spelled(_BOOLEANS.get(value), value, bool)
    yield int, lambda value, _: _spelled(int(value) if _WHOLE.fullmatch(value) else None, value, int)
    yield float, lambda value, _: _spelled(float(value) if _NUMBER.fullmatch(value) else None, value, float)


def _converter(hooks: Iterator[tuple[type, Hook]]) -> Converter:
    converter = Converter(forbid_extra_keys=True)
    for kind, hook in hooks:
        converter.register_structure_hook(kind, hook)
    converter.register_structure_hook_factory(attrs.has, _attrs_hook)
    converter.register_structure_hook_factory(_is_list, _list_hook)
    converter.register_structure_hook_factory(_is_dict, _dict_hook)
    converter.register_structure_hook_factory(_is_literal, _literal_hook)
    converter.register_structure_hook_factory(_is_union, _union_hook)
    return converter


def _is_list(cls: Any) -> bool:
    return cls is list or get_origin(cls) is list


def _is_dict(cls: Any) -> bool:
    return cls is dict or get_origin(cls) is dict


def _is_literal(cls: Any) -> bool:
    return get_origin(cls) is Literal


def _is_union(cls: Any) -> bool:
    return get_origin(cls) in (Union, types.UnionType)


def _attrs_hook(cls: Any, converter: Converter) -> Hook:
    inner = make_dict_structure_fn(
        cls, converter, _cattrs_forbid_extra_keys=not getattr(cls, "IS_OPEN", False)
    )
    return lambda value, wanted: inner(_checked(value, dict), wanted)


def _list_hook(cls: Any, converter: Converter) -> Hook:
    inner = list_structure_factory(cls, converter)
    return lambda value, wanted: inner(_checked(value, list), wanted)


def _dict_hook(cls: Any, converter: Converter) -> Hook:
    inner = mapping_structure_factory(cls, converter)
    return lambda value, wanted: inner(_checked(value, dict), wanted)


def _literal_hook(cls: Any, converter: Converter) -> Hook:
    allowed = {str(each): each for each in get_args(cls)}
    return lambda value, _: _chosen(allowed, value)


def _member(value: Any, wanted: type[StrEnum]) -> Any:
    return _chosen({each.value: each for each in wanted}, value)


def _chosen(allowed: Mapping[str, Any], value: Any) -> Any:
    if isinstance(value, str) and value in allowed:
        return allowed[value]
    raise ValueError(f"must be {_or([repr(each) for each in allowed])}, not {_shown(value)}")


def _union_hook(cls: Any, converter: Converter) -> Hook:
    """JSON's type of the value says which member is meant; between classes their Literal field says it."""
    members = get_args(cls)
    classes = [each for each in members if attrs.has(each)]
    others = [each for each in members if each is not type(None) and each not in classes]

    def hook(value: Any, _: Any) -> Any:
        if value is None and type(None) in members:
            return None
        if classes and isinstance(value, dict):
            chosen = classes[0] if len(classes) == 1 else _tagged(classes, value)
            return converter.structure(value, chosen)
        for each in others[:-1]:
            try:
                return converter.structure(value, each)
            except (BaseValidationError, TypeError, ValueError):
                continue
        if others:
            return converter.structure(value, others[-1])
        raise TypeError(f"must be {WORDS[dict]}, not {_named(value)}")

    return hook


def _tagged(classes: list[type], value: dict[str, Any]) -> type:
    """The class whose Literal field (`transport`, `type`, …) has the value's word, or a default."""
    tag = next(field.name for field in attrs.fields(classes[0]) if _is_literal(field.type))
    by_word: dict[str, type] = {}
    for cls in classes:
        field = attrs.fields_dict(cls)[tag]
        by_word.update(dict.fromkeys(get_args(field.type), cls))
        if tag not in value and field.default is not attrs.NOTHING:
            return cls
    if tag not in value:
        raise ValueError(f"`{tag}` is required: {_or([repr(each) for each in by_word])}")
    try:
        return _chosen(by_word, value[tag])  # type: ignore[no-any-return]
    except ValueError as error:
        raise ValueError(f"`{tag}` {error}") from error


def _checked(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"must be {WORDS[kind]}, not {_named(value)}")
    return value


def _spelled(found: Any, text: str, kind: type) -> Any:
    if found is None:
        raise ValueError(f"must be {WORDS[kind]}, not {_shown(text)}")
    return found


def _named(value: Any) -> str:
    return WORDS.get(type(value), "something else")


def _shown(value: Any) -> str:
    """The value where it is short text, its kind where it is not."""
    return repr(value) if isinstance(value, str) and len(value) <= 40 else _named(value)


def _or(words: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


_json = _converter(_json_hooks())
_text = _converter(_text_hooks())

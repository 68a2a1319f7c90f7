"""Named secrets as clients send and get them. A value goes in and never comes out."""

import re
from typing import Any

import attrs

NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
LONGEST = 64 * 1024


def _is_name(instance: Any, attribute: "attrs.Attribute[str]", value: str) -> None:
    if not NAME.fullmatch(value):
        raise ValueError("`name` consists of 1 to 64 letters, digits, `_`, `-` and `.`")


def _is_value(instance: Any, attribute: "attrs.Attribute[str]", value: str) -> None:
    if not value or "\0" in value or len(value) > LONGEST:
        raise ValueError(f"`value` must have 1 to {LONGEST} characters, and no NUL among them")


@attrs.frozen(kw_only=True)
class CreateSecret:
    name: str = attrs.field(validator=_is_name)
    value: str = attrs.field(validator=_is_value, repr=False)


@attrs.frozen(kw_only=True)
class UpdateSecret:
    value: str = attrs.field(validator=_is_value, repr=False)


@attrs.frozen(kw_only=True)
class Secret:
    """`reference` is what stands for the value in a server's `env` and `headers`."""

    name: str
    reference: str
    created_at: str
    updated_at: str


@attrs.frozen(kw_only=True)
class RotatedKey:
    """How many stored values were sealed again, and where the new key lies."""

    count: int
    key: str

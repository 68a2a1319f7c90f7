"""What cattrs complains about, as one sentence per field."""

import re
from collections.abc import Iterator

import attrs
from cattrs.errors import (
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)

from archestra_gateway.errors import ValidationFailed

_NAMES_ITS_FIELD = re.compile(r"`([^`]+)`\s*(.*)", re.DOTALL)
MOST = 50
"""A list of ten thousand wrong items is explained by its first."""


def failed(error: BaseException) -> ValidationFailed:
    """`fields` has each place and its sentence; the message is all of them."""
    fields: dict[str, str] = {}
    for place, text in _mistakes(error, ""):
        fields.setdefault(place, f"`{place}` {text}" if place else f"The body {text}")
        if len(fields) == MOST:
            break
    return ValidationFailed("; ".join(fields.values()), fields=fields)


def _mistakes(error: BaseException, path: str) -> Iterator[tuple[str, str]]:
    """Place and predicate of every mistake below `error`."""
    if isinstance(error, ClassValidationError | IterableValidationError):
        placed, unplaced = error.group_exceptions()
        for inner, note in placed:
            step = note.index if isinstance(note, IterableValidationNote) else note.name
            yield from _mistakes(inner, _join(path, step))
        for inner in unplaced:
            yield from _mistakes(inner, path)
    elif isinstance(error, ForbiddenExtraKeysError):
        known = ", ".join(field.name for field in attrs.fields(error.cl))
        for name in sorted(error.extra_fields):
            yield (
                _join(path, name),
                f"is not known here; known are: {known}" if known else "is not known here",
            )
    elif isinstance(error, KeyError):
        yield path, "is required"
    elif named := _NAMES_ITS_FIELD.fullmatch(str(error.args[0]) if error.args else ""):
        yield _join(path, named[1]), named[2]
    else:
        yield path, str(error.args[0]) if error.args else "is not valid"


def _join(path: str, step: str | int) -> str:
    if isinstance(step, int):
        return f"{path}[{step}]"
    return f"{path}.{step}" if path else step

"""What changed in a server's tools since they were accepted, as clients get it."""

from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class FieldChange:
    """One member of a definition; in `diff` each line begins with `-` (was), `+` (is) or a space (same).

    Characters that can not be seen are written as `\\u{…}` there.
    """

    field: str
    diff: str


@attrs.frozen(kw_only=True)
class ToolChange:
    """`before` and `after` are the whole definitions, in the server's own words."""

    name: str
    fields: list[FieldChange]
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@attrs.frozen(kw_only=True)
class ToolChanges:
    """`added` and `changed` are held back until they are accepted; `removed` are not offered any more.

    `revision` stands for exactly these changes.
    """

    revision: str
    added: list[ToolChange]
    changed: list[ToolChange]
    removed: list[ToolChange]


@attrs.frozen(kw_only=True)
class AcceptTools:
    """The tools whose change is accepted; without `tools` all of them.

    With a `revision` it is a conflict when the server has changed something else since that was shown.
    """

    tools: list[str] | None = None
    revision: str | None = None

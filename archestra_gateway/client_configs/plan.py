"""What connecting and disconnecting do to a client's text, and what has become of it since. Pure."""

import difflib
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Literal

import attrs

from archestra_gateway.client_configs import edit
from archestra_gateway.client_configs.client import Client
from archestra_gateway.client_configs.edit import Edit
from archestra_gateway.client_configs.formats import entries, load, remove_entry, set_entry
from archestra_gateway.client_configs.found_server import same_place
from archestra_gateway.client_configs.section import depth_present, without_empties, without_entry
from archestra_gateway.errors import Conflict

State = Literal["same", "changed", "missing"]
Entries = Mapping[str, Mapping[str, Any]]


@attrs.frozen
class Record:
    """What was written; `made` keys of the path and, where `made_file`, the file are ours as well."""

    entries: Entries = attrs.field(factory=dict, repr=False)
    edit: Edit | None = attrs.field(default=None, repr=False)
    made: int = 0
    made_file: bool = False
    folders: tuple[str, ...] = ()


@attrs.frozen
class Plan:
    """The text to write (None: no file) and what to remember of it."""

    text: str | None
    record: Record


def states(client: Client, text: str | None, record: Record) -> dict[str, State]:
    """What has become of each entry that was written. Raises FormatError."""
    held = entries(client.form, text or "", client.section)
    return {name: _state(held, name, entry) for name, entry in record.entries.items()}


def connect(
    client: Client, text: str | None, record: Record, wanted: Entries, *, repair: bool = True
) -> Plan:
    """`text` with the wanted entries in the place of the recorded ones.

    Without `repair`, an entry that somebody else changed or removed is left as it is. Raises Conflict when a
    name is taken, FormatError when the text can not be read.
    """
    found = states(client, text, record)
    kept = {} if repair else {name: record.entries[name] for name, state in found.items() if state != "same"}
    new = {name: entry for name, entry in wanted.items() if name not in kept}
    base, is_exact = _taken_out(client, text, record, [name for name in found if name not in kept])
    made_file = base is None or (record.made_file and base == "")
    start = base or ""
    _refuse_taken(client, start, new)
    written = start if start.strip("\ufeff \t\r\n") or not new else start + client.new_file
    made = len(client.section.path) - depth_present(load(client.form, written), client.section.path)
    for name, entry in new.items():
        written = set_entry(client.form, written, client.section, name, dict(entry))
    remembered = Record(
        entries={**kept, **new},
        edit=edit.between(start, written),
        made=made if is_exact else max(made, record.made),
        made_file=made_file,
        folders=record.folders,
    )
    return Plan(written if new or base is not None else None, remembered)


def disconnect(client: Client, text: str | None, record: Record) -> Plan:
    """`text` without what was written; the record that is left names entries that now are somebody else's."""
    found = states(client, text, record)
    held = entries(client.form, text or "", client.section)
    ours = [n for n, s in found.items() if s != "missing" and same_place(held[n], record.entries[n])]
    base, _ = _taken_out(client, text, record, ours)
    foreign = {n: record.entries[n] for n, s in found.items() if s != "missing" and n not in ours}
    return Plan(base, Record(entries=foreign))


def difference(path: str, old: str | None, new: str | None) -> str:
    """A unified diff, the way people read changes."""
    lines = difflib.unified_diff(
        (old or "").splitlines(keepends=True),
        (new or "").splitlines(keepends=True),
        fromfile="/dev/null" if old is None else path,
        tofile="/dev/null" if new is None else path,
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _state(held: Mapping[str, Any], name: str, entry: Mapping[str, Any]) -> State:
    if name not in held:
        return "missing"
    return "same" if held[name] == entry else "changed"


def _taken_out(
    client: Client, text: str | None, record: Record, names: Iterable[str]
) -> tuple[str | None, bool]:
    """`text` as it was before us, byte for byte where it can be; and whether it is that."""
    names = list(names)
    if text is None or not names:
        return text, False
    if record.edit and set(names) == set(record.entries):
        undone = edit.undo(text, record.edit, partial(_is_without, client, record, text))
        if undone is not None:
            return (None if record.made_file and not undone else undone), True
    for name in names:
        text = remove_entry(client.form, text, client.section, name, record.made)
    return text, False


def _is_without(client: Client, record: Record, text: str, candidate: str) -> bool:
    """Whether `candidate` says what `text` says, without our entries."""
    path = client.section.path
    expected = load(client.form, text)
    for name in record.entries:
        expected = without_entry(expected, client.section, name)
    expected = without_empties(expected, path)
    if not candidate.strip("\ufeff \t\r\n"):
        return bool(expected == load(client.form, client.new_file))
    try:
        return bool(without_empties(load(client.form, candidate), path) == expected)
    except ValueError:
        return False


def _refuse_taken(client: Client, text: str, wanted: Entries) -> None:
    held = entries(client.form, text, client.section)
    for name, entry in wanted.items():
        if name in held and not same_place(held[name], entry):
            raise Conflict(
                f"{client.title} already has another server named {name}: rename it there, or remove it",
                server=name,
            )

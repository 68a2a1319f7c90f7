"""Plans carried out: a client's file written, or its own program asked to write it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import attrs

from archestra_gateway.client_configs import command, files, plan
from archestra_gateway.client_configs.backups import Backups
from archestra_gateway.client_configs.formats import entries, load, remove_entry
from archestra_gateway.client_configs.found_server import FoundServer, read_servers, same_place
from archestra_gateway.client_configs.json_tree import FormatError
from archestra_gateway.client_configs.machine import Machine
from archestra_gateway.client_configs.plan import Entries, Plan, Record, State
from archestra_gateway.client_configs.section import depth_present
from archestra_gateway.client_configs.targets import Target
from archestra_gateway.errors import Conflict

PREFIX = "archestra-"


@attrs.frozen
class Job:
    """One client's file, and what is known to be ours in it."""

    machine: Machine
    target: Target
    backups: Backups
    record: Record


def states(job: Job) -> dict[str, State]:
    """What has become of our entries. Raises Conflict."""
    with _in_words(job):
        return plan.states(job.target.client, files.read(job.target.path), job.record)


def servers(job: Job) -> list[FoundServer]:
    """Every server in the file. Raises Conflict."""
    with _in_words(job):
        return read_servers(job.target.client, files.read(job.target.path) or "")


def planned_connect(
    job: Job, offered: Entries, *, repair: bool = True, instead_of: Sequence[str] = ()
) -> Callable[[str | None], Plan]:
    """What `connect` will make of a text; an entry whose name is taken there gets a longer one."""
    client = job.target.client

    def make(text: str | None) -> Plan:
        for name in instead_of:
            text = remove_entry(client.form, text or "", client.section, name)
        wanted = _named(job, text, offered)
        return plan.connect(client, text, job.record, wanted, repair=repair)

    return make


def planned_disconnect(job: Job) -> Callable[[str | None], Plan]:
    return lambda text: plan.disconnect(job.target.client, text, job.record)


def preview(job: Job, make: Callable[[str | None], Plan]) -> tuple[str | None, str | None]:
    """The text now and the text then. Raises Conflict."""
    with _in_words(job):
        text = files.read(job.target.path)
        return text, make(text).text


def connect(job: Job, offered: Entries, *, repair: bool = True, instead_of: Sequence[str] = ()) -> Record:
    """Entries that these are `instead_of` go in the same change.

    Raises Conflict when the file can not be read or written, or a name is taken.
    """
    with _in_words(job):
        if command_lines(job, offered) and not instead_of:
            record = _connect_by_command(job, offered)
            if record:
                return record
        return _carry_out(job, planned_connect(job, offered, repair=repair, instead_of=instead_of))


def disconnect(job: Job) -> None:
    """Raises Conflict when the file can not be read or written."""
    with _in_words(job):
        program = _program(job)
        if program and job.record.entries and not job.record.edit:
            _keep(job, files.read(job.target.path))
            for name in job.record.entries:
                command.run(job.machine, command.remove(program, name))
        _carry_out(job, planned_disconnect(job))
        if not job.target.path.exists():
            files.remove_empty(job.record.folders)


def restore(job: Job, content: str) -> None:
    """Writes a backup back, after a backup of what is there now."""
    files.update(job.target.path, lambda _: content, job.backups, job.target.name)


def command_lines(job: Job, offered: Entries) -> list[list[str]]:
    """The client's own way to add the entries; none where it would show a secret to others."""
    program = _program(job)
    if not program or any(command.has_secret(entry) for entry in offered.values()):
        return []
    return [command.add(program, name, entry) for name, entry in offered.items()]


def _program(job: Job) -> str | None:
    own = job.target.client.own_command
    return job.machine.which(own) if own else None


def _connect_by_command(job: Job, offered: Entries) -> Record | None:
    """None when the entries are not in the file afterwards."""
    target, client = job.target, job.target.client
    before = files.read(target.path)
    wanted = _named(job, before, offered)
    held = entries(client.form, before or "", client.section)
    if wanted != offered or set(wanted) & set(held):
        return None  # its own program would refuse; the file itself can be changed
    _keep(job, before)
    for line in command_lines(job, offered):
        if not command.run(job.machine, line).is_done:
            break
    after = files.read(target.path)
    made = len(client.section.path) - depth_present(load(client.form, before or ""), client.section.path)
    record = Record(entries=wanted, made=made)
    is_there = set(plan.states(client, after, record).values()) == {"same"}
    return record if is_there and not set(job.record.entries) - set(wanted) else None


def _keep(job: Job, text: str | None) -> None:
    if text is not None:
        job.backups.keep(job.target.name, text.encode("utf-8"))


def _carry_out(job: Job, make: Callable[[str | None], Plan]) -> Record:
    plans: list[Plan] = []

    def change(text: str | None) -> str | None:
        plans.append(make(text))
        return plans[-1].text

    written = files.update(job.target.path, change, job.backups, job.target.name)
    record = plans[-1].record
    return attrs.evolve(record, folders=written.folders or record.folders)


def _named(job: Job, text: str | None, offered: Entries) -> Entries:
    """The offered entries under names that are free, or ours already."""
    held = entries(job.target.client.form, text or "", job.target.client.section)
    named = {}
    for name, entry in offered.items():
        is_free = name in job.record.entries or name not in held or same_place(held[name], entry)
        named[name if is_free or name.startswith(PREFIX) else f"{PREFIX}{name}"] = entry
    return named


@contextmanager
def _in_words(job: Job) -> Iterator[None]:
    """A file that can not be read, as an error for people."""
    try:
        yield
    except FormatError as error:
        raise Conflict(
            f"The configuration of {job.target.title} is left alone: {error}", path=str(job.target.path)
        ) from error

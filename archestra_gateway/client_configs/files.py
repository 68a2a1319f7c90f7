"""A client's file read, and changed so that at every moment it is the old one or the new one, whole."""

import glob
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

import attrs

from archestra_gateway.client_configs.backups import Backups
from archestra_gateway.errors import Conflict

MAX_BYTES = 64 * 1024 * 1024
ATTEMPTS = 20
TEMPORARY = ".archestra-tmp"

Change = Callable[[str | None], str | None]
"""Old text to new text; None is "there is no file"."""

Step = Callable[[str], None]
"""Called with the name of what has just been done, so that a test can stop in between."""


@attrs.frozen
class Written:
    """`folders` had to be made for the file, the outermost first."""

    old: str | None
    new: str | None
    backup: str | None = None
    folders: tuple[str, ...] = ()

    @property
    def is_changed(self) -> bool:
        return self.old != self.new


@attrs.frozen
class _Found:
    """What is at the end of all symlinks."""

    target: Path
    content: bytes | None
    status: os.stat_result | None


def read(path: Path) -> str | None:
    """The text of the file, with its BOM and line ends; None when there is none. Raises Conflict."""
    return _text(path, _find(path).content)


def update(
    path: Path, change: Change, backups: Backups, name: str, step: Step = lambda done: None
) -> Written:
    """Applies `change` to the file at `path`; it is asked again when another program wrote in the meantime.

    Raises Conflict when the file can not be read, is not ours to write, or keeps changing.
    """
    target = _find(path).target
    with backups.locked(target):
        step("locked")
        _sweep(target)
        for _ in range(ATTEMPTS):
            found = _find(path)
            old = _text(path, found.content)
            step("read")
            new = change(old)
            if new == old:
                return Written(old, new)
            written = _replace(path, found, new, backups, name, step)
            if written:
                return attrs.evolve(written, old=old, new=new)
    raise Conflict("The file keeps changing: quit the program that writes it, and try again", path=str(path))


def remove_empty(folders: tuple[str, ...]) -> None:
    """Removes the folders that were made for a file, as far as nothing else is in them."""
    for folder in reversed(folders):
        try:
            os.rmdir(folder)
        except OSError:
            return


def _replace(
    path: Path, found: _Found, new: str | None, backups: Backups, name: str, step: Step
) -> Written | None:
    """None, and nothing done, when the file is no longer what was found."""
    target = found.target
    backup = backups.keep(name, found.content) if found.content is not None else None
    step("backed up")
    folders = _make_folders(target.parent) if new is not None else ()
    temporary = target.parent / f".{target.name}.{secrets.token_hex(4)}{TEMPORARY}"
    try:
        if new is not None:
            _write(temporary, new.encode("utf-8"), found.status, step)
        now = _find(path)
        if (now.target, now.content) != (target, found.content):
            if backup:
                backup.unlink(missing_ok=True)
            return None
        step("compared")
        if new is None:
            target.unlink(missing_ok=True)
        else:
            os.replace(temporary, target)
        step("renamed")
    except OSError as error:
        raise _refusal(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(target.parent)
    step("synced")
    return Written(None, None, backup.name if backup else None, folders)


def _find(path: Path) -> _Found:
    try:
        target = Path(os.path.realpath(path, strict=False))
        status = target.stat()
    except FileNotFoundError:
        return _Found(target, None, None)
    except OSError as error:
        raise _refusal(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        raise Conflict("It is not a regular file", path=str(path))
    if status.st_size > MAX_BYTES:
        raise Conflict("The file is too large for a configuration", path=str(path), size=status.st_size)
    try:
        return _Found(target, target.read_bytes(), status)
    except OSError as error:
        raise _refusal(path, error) from error


def _text(path: Path, content: bytes | None) -> str | None:
    try:
        return None if content is None else content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Conflict("The file is not UTF-8, so it is left alone", path=str(path)) from error


def _write(temporary: Path, content: bytes, status: os.stat_result | None, step: Step) -> None:
    """A new file of the old one's mode and owner, on the disk; a first one is for its owner alone."""
    if status and not status.st_mode & stat.S_IWUSR:
        raise PermissionError("it is read-only")
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "wb") as stream:
        step("temporary made")
        if status:
            if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file, status.st_uid, status.st_gid)
            os.fchmod(file, stat.S_IMODE(status.st_mode))
        middle = len(content) // 2
        stream.write(content[:middle])
        stream.flush()
        step("half written")
        stream.write(content[middle:])
        stream.flush()
        os.fsync(file)
    step("written")


def _make_folders(folder: Path) -> tuple[str, ...]:
    missing: list[str] = []
    while not folder.exists():
        missing.insert(0, str(folder))
        folder = folder.parent
    for made in missing:
        try:
            os.mkdir(made)
        except FileExistsError:
            continue
        except OSError as error:
            raise _refusal(Path(made), error) from error
    return tuple(missing)


def _sweep(target: Path) -> None:
    """Removes what a killed writer left; only the holder of the lock may."""
    for left in target.parent.glob(f".{glob.escape(target.name)}.*{TEMPORARY}"):
        left.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _refusal(path: Path, error: OSError) -> Conflict:
    reason = error.strerror or str(error)
    return Conflict(f"The file can not be used: {reason[0].lower()}{reason[1:]}", path=str(path))

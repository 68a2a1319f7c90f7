"""From a server's configuration and permissions to the policy of its children."""

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.sandbox.path import SearchPath, not_found
from archestra_gateway.sandbox.policy import Mount, Policy, covers, in_order, is_within
from archestra_gateway.sandbox.toolchain import Program, is_wide, resolve
from archestra_gateway.sandbox.user import child_ids
from archestra_gateway.schemas.mcp_server import StdioConfig
from archestra_gateway.schemas.permissions import Permissions

PACKAGE = str(Path(__file__).parent.parent)
"""This program, which the built-in servers are a part of."""

SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin")
KEPT_VARIABLES = ("LANG", "LANGUAGE", "TZ")
OWN_HOME = "${home}"
"""In a server's environment: its private folder, wherever that is."""


@attrs.frozen
class Place:
    """The gateway's own folders: `data_dir` is hidden from every child but for `files` and its own home."""

    data_dir: Path

    @property
    def files(self) -> str:
        return str(self.data_dir / "files")

    def home(self, name: str) -> str:
        return str(self.data_dir / "servers" / name / "home")


@attrs.frozen
class Wish:
    """What is to be started, and what a person allows it; who learns has a gate that takes notes."""

    name: str
    config: StdioConfig
    permissions: Permissions
    is_learning: bool = False


def policy(
    wish: Wish, place: Place, search: SearchPath, environment: Mapping[str, str], inside_home: str | None
) -> Policy:
    """`inside_home` is where the private home is seen; None leaves it at its own path.

    Raises UpstreamUnavailable when the command or a folder is not there, or would show too much.
    """
    user_home = Path(environment.get("HOME") or Path.home())
    home = place.home(wish.name)
    program = _program(wish, search, user_home, home)
    shown = [Mount.same(path) for path in needed(program)]
    uid, gid = child_ids(wish.name)
    granted = list(grants(wish, place, uid))
    seen_home = inside_home or home
    asked = [*shown, *granted, *_working_folder(wish, shown + granted, user_home)]
    mounts = _without_repetition(asked, uid)
    return Policy(
        command=(program.path, *wish.config.args),
        env=variables(wish, program, environment, seen_home, granted),
        home=home,
        cwd=os.path.expanduser(wish.config.cwd) if wish.config.cwd else seen_home,
        uid=uid,
        gid=gid,
        mounts=in_order([*mounts, Mount(home, seen_home, is_writable=True)]),
        hidden=tuple(
            dict.fromkeys((*hidden(mounts, os.path.realpath(place.data_dir), uid), *closed(mounts, uid)))
        ),
        limits=wish.permissions.limits,
        reaches_out=wish.permissions.reaches_out or wish.is_learning,
        local_sockets=wish.permissions.local_sockets,
    )


def needed(program: Program) -> list[str]:
    """An editable installation of ours has its modules outside of the virtual environment."""
    ours = any(is_within(program.path, path) for path in program.needs) and _is_ours(program)
    return [*program.needs, PACKAGE] if ours else list(program.needs)


def grants(wish: Wish, place: Place, uid: int) -> Iterable[Mount]:
    for folders, is_writable in (
        (wish.permissions.read_only, False),
        (wish.permissions.read_write, True),
    ):
        for folder in folders:
            path = os.path.expanduser(folder)
            source = os.path.realpath(path)
            if not os.path.exists(source):
                raise UpstreamUnavailable(
                    f"The MCP server {wish.name} is granted {folder}, which does not exist", name=wish.name
                )
            _refuse_own(wish, source, place)
            _refuse_closed(wish, source, uid, place)
            yield Mount(source, os.path.normpath(path), is_writable)
            if source != os.path.normpath(path):
                yield Mount(source, source, is_writable)


def hidden(mounts: Iterable[Mount], folder: str, uid: int) -> tuple[str, ...]:
    """Where the child would see `folder`, as a part of something that it is shown.

    What lies inside of it can be mounted there only when the child may walk to it. Below a folder that is
    closed to the child's user it could not, and sees nothing anyway: then that one is hidden whole.
    """
    found = []
    for mount in mounts:
        if folder != mount.source and is_within(folder, mount.source):
            veiled = closed_folder(mount.source, folder, uid) or folder
            found.append(os.path.join(mount.target, os.path.relpath(veiled, mount.source)))
    return tuple(found)


def closed(mounts: Iterable[Mount], uid: int) -> Iterable[str]:
    """Where a mount lies in another one, below a folder that the child's user may not walk through.

    Nothing could be mounted there, and the child would see nothing of that folder anyway: it is hidden whole.
    """
    mounts = list(mounts)
    for outer in mounts:
        for inner in mounts:
            if inner.target != outer.target and is_within(inner.target, outer.target):
                source = os.path.join(outer.source, os.path.relpath(inner.target, outer.target))
                veiled = closed_folder(outer.source, os.path.dirname(source), uid)
                if veiled is not None:
                    yield os.path.join(outer.target, os.path.relpath(veiled, outer.source))


def closed_folder(top: str, folder: str, uid: int) -> str | None:
    """The first on the way from `top` down to `folder` that the child's user may not walk through."""
    path = top
    for part in Path(os.path.relpath(folder, top)).parts:
        path = os.path.join(path, part)
        if not _may_walk(path, uid):
            return path
    return None


def _may_walk(folder: str, uid: int) -> bool:
    if os.geteuid() != 0:  # then it is our own user, whose groups count too
        return os.access(folder, os.X_OK)
    found = os.stat(folder)
    return found.st_uid == uid or bool(found.st_mode & stat.S_IXOTH)


def variables(
    wish: Wish, program: Program, environment: Mapping[str, str], home: str, granted: Iterable[Mount]
) -> dict[str, str]:
    """The whole environment: nothing of the daemon's but language and time zone."""
    kept = {
        name: value for name, value in environment.items() if name in KEPT_VARIABLES or name.startswith("LC_")
    }
    has_tmp = any(mount.target == "/tmp" and not mount.is_writable for mount in granted)  # noqa: S108
    return {
        "LANG": "C.UTF-8",
        **kept,
        "HOME": home,
        "USER": "mcp",
        "LOGNAME": "mcp",
        "TMPDIR": home if has_tmp else "/tmp",  # noqa: S108
        "PATH": os.pathsep.join(dict.fromkeys((*program.folders, *SYSTEM_PATH))),
        **{name: text.replace(OWN_HOME, home) for name, text in wish.config.env.items()},
    }


def _program(wish: Wish, search: SearchPath, user_home: Path, home: str) -> Program:
    command = os.path.expanduser(wish.config.command)
    found = search.which(command)
    if found is None:
        raise UpstreamUnavailable(not_found(command, search.folders), command=command)
    cwd = os.path.expanduser(wish.config.cwd or home)
    return resolve(os.path.abspath(found), wish.config.args, cwd, search, user_home)


def _working_folder(wish: Wish, mounts: list[Mount], user_home: Path) -> list[Mount]:
    """A person who names a working folder wants it seen; a whole home is more than was meant."""
    if wish.config.cwd is None:
        return []
    cwd = os.path.realpath(os.path.expanduser(wish.config.cwd))
    if not os.path.isdir(cwd):
        raise UpstreamUnavailable(f"The working directory {wish.config.cwd} does not exist", cwd=cwd)
    if covers(mounts, cwd):
        return []
    if is_wide(cwd, user_home):
        raise UpstreamUnavailable(
            f"The working directory {wish.config.cwd} would show the MCP server {wish.name} too much: "
            "choose a smaller one, or grant it under `permissions.read_only`",
            name=wish.name,
            cwd=cwd,
        )
    return [Mount(cwd, os.path.expanduser(wish.config.cwd))]


def _refuse_own(wish: Wish, source: str, place: Place) -> None:
    data_dir = os.path.realpath(place.data_dir)
    if is_within(source, data_dir) and not is_within(source, os.path.realpath(place.files)):
        raise UpstreamUnavailable(
            f"The MCP server {wish.name} is granted {source}, which is the gateway's own: "
            "take it out of its permissions",
            name=wish.name,
        )


def _refuse_closed(wish: Wish, source: str, uid: int, place: Place) -> None:
    """Below a gateway that is root, a granted folder may be closed to the user that the child is."""
    found = os.stat(source)
    needed = stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(found.st_mode) else 0)
    is_ours = is_within(source, os.path.realpath(place.data_dir))
    if found.st_uid != uid and os.geteuid() == 0 and not is_ours and found.st_mode & needed != needed:
        raise UpstreamUnavailable(
            f"The MCP server {wish.name} is granted {source}, but runs as the user {uid}, who can not open "
            f"it: let that user in (chmod o+rX, or chown {uid})",
            name=wish.name,
        )


def _is_ours(program: Program) -> bool:
    return os.path.basename(program.path).startswith("archestra-")


def _without_repetition(mounts: list[Mount], uid: int) -> list[Mount]:
    """A read-only mount below another one of its place shows nothing new, where the child may walk to it."""
    return [
        mount
        for mount in mounts
        if mount.is_writable
        or mount.source != mount.target
        or not any(
            not other.is_writable
            and other.source == other.target
            and mount.target != other.target
            and is_within(mount.target, other.target)
            and closed_folder(other.source, os.path.dirname(mount.source), uid) is None
            for other in mounts
        )
    ]

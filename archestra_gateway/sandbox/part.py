"""A child that is a part of the gateway itself: confined like any other, and without any network."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs

from archestra_gateway.sandbox.command import Launch, inherited
from archestra_gateway.sandbox.confine import Sandbox, confined
from archestra_gateway.sandbox.grants import KEPT_VARIABLES, SYSTEM_PATH, closed, hidden
from archestra_gateway.sandbox.path import SearchPath
from archestra_gateway.sandbox.policy import Mount, Policy, in_order
from archestra_gateway.sandbox.toolchain import resolve
from archestra_gateway.sandbox.user import child_ids, give
from archestra_gateway.schemas.permissions import Limits


@attrs.frozen
class Part:
    """`script` is run by this Python in `home`, where it may make a socket; it is shown `needs`."""

    name: str
    script: str
    arguments: tuple[str, ...]
    home: str
    needs: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    """Folders on its PYTHONPATH."""
    limits: Limits = attrs.field(factory=Limits)

    @property
    def command(self) -> tuple[str, ...]:
        return (sys.executable, "-P", self.script, *self.arguments)

    @property
    def modules_path(self) -> dict[str, str]:
        return {"PYTHONPATH": os.pathsep.join(self.modules)}


async def launch_part(
    part: Part, sandbox: Sandbox, search: SearchPath, environment: Mapping[str, str]
) -> Launch:
    """Where nothing can confine it, it is started with a private environment: the code is our own."""
    mechanism = (await sandbox.found(search)).mechanism
    if mechanism is None or sys.platform != "linux":
        return unconfined(part, environment)
    child = await asyncio.to_thread(policy, part, sandbox.place.data_dir, search, environment, mechanism.home)
    give(part.home, child.uid, child.gid)
    return await confined(mechanism, child, None, {})


def unconfined(part: Part, environment: Mapping[str, str]) -> Launch:
    return Launch(part.command, {**inherited(environment), **part.modules_path}, part.home)


def policy(
    part: Part, data_dir: Path, search: SearchPath, environment: Mapping[str, str], inside_home: str | None
) -> Policy:
    user_home = Path(environment.get("HOME") or Path.home())
    program = resolve(sys.executable, (), part.home, search, user_home)
    uid, gid = child_ids(part.name)
    mounts = in_order(
        Mount.same(path) for path in dict.fromkeys((*program.needs, part.script, *part.modules, *part.needs))
    )
    kept = {name: environment[name] for name in KEPT_VARIABLES if name in environment}
    home = inside_home or part.home
    return Policy(
        command=(program.path, *part.command[1:]),
        env={
            "LANG": "C.UTF-8",
            **kept,
            "HOME": home,
            "PATH": os.pathsep.join((*program.folders, *SYSTEM_PATH)),
            **part.modules_path,
        },
        home=part.home,
        cwd=home,
        uid=uid,
        gid=gid,
        mounts=in_order((*mounts, Mount(part.home, home, is_writable=True))),
        hidden=tuple(dict.fromkeys((*hidden(mounts, os.path.realpath(data_dir), uid), *closed(mounts, uid)))),
        limits=part.limits,
        listens=True,
    )

"""Which mechanism this machine has: each is tried once, for what is installed may still be forbidden."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence

import attrs

from archestra_gateway.sandbox.bubblewrap import Host
from archestra_gateway.sandbox.descriptors import Descriptors
from archestra_gateway.sandbox.landlock import OLDEST_ABI
from archestra_gateway.sandbox.mechanism import Bubblewrap, Landlock, Mechanism, Seatbelt
from archestra_gateway.sandbox.path import SearchPath
from archestra_gateway.sandbox.policy import Policy, system_paths
from archestra_gateway.sandbox.user import child_ids

TIMEOUT = 10.0
CREATE_RULESET, ASK_VERSION = 444, 1

INSTALL = "Install bubblewrap (Debian: apt install bubblewrap)"


@attrs.frozen
class Found:
    """`mechanism` is None where there is none; `why` says what is wrong with each that was tried."""

    mechanism: Mechanism | None
    why: tuple[str, ...] = ()

    @property
    def refusal(self) -> str:
        return (
            f"No sandbox is available here ({'; '.join(self.why)}). {INSTALL}, or allow this one server "
            'to run without: set its `permissions.sandbox` to "off"'
        )


async def find(search: SearchPath, gateway_port: int) -> Found:
    if sys.platform == "darwin":
        return await _tried([lambda: Seatbelt(gateway_port)])
    if sys.platform == "linux":
        return await _tried([lambda: bubblewrap(search), landlock])
    return Found(None, (f"none is known for {sys.platform}",))


async def _tried(makers: list[Callable[[], Mechanism]]) -> Found:
    """`makers` raise LookupError with what is missing."""
    why: list[str] = []
    for make in makers:
        try:
            mechanism = make()
        except LookupError as error:
            why.append(str(error.args[0]))
            continue
        sentence = await attempt(mechanism)
        if sentence is None:
            return Found(mechanism, tuple(why))
        why.append(f"{mechanism.name}: {sentence}")
    return Found(None, tuple(why))


def bubblewrap(search: SearchPath) -> Bubblewrap:
    """Raises LookupError."""
    program, prlimit, setpriv = (search.which(name) for name in ("bwrap", "prlimit", "setpriv"))
    as_root = os.geteuid() == 0
    if program is None:
        raise LookupError("bubblewrap is not installed")
    if prlimit is None or (as_root and setpriv is None):
        raise LookupError("prlimit and setpriv of util-linux are not installed")
    return Bubblewrap(Host(program, prlimit, setpriv, system_paths()), as_root)


def landlock() -> Landlock:
    """Raises LookupError."""
    if os.geteuid() == 0:
        raise LookupError("Landlock alone can not confine the children of a gateway that runs as root")
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    version = call(CREATE_RULESET, None, ctypes.c_size_t(0), ASK_VERSION)
    if version < OLDEST_ABI:
        raise LookupError(f"Landlock is too old here (version {max(version, 0)}, {OLDEST_ABI} is needed)")
    return Landlock()


async def attempt(mechanism: Mechanism) -> str | None:
    """Run a program that does nothing; None when that went well."""
    uid, gid = child_ids("trial")
    policy = Policy(command=("/usr/bin/true",), env={}, home="/", cwd="/", uid=uid, gid=gid)
    descriptors = Descriptors()
    try:
        confined = await mechanism.confine(policy, None, descriptors)
        return await _run(confined.argv, descriptors.numbers)
    except (OSError, TimeoutError) as error:
        return str(error) or "it did not end"
    finally:
        descriptors.close()


async def _run(argv: Sequence[str], descriptors: Sequence[int]) -> str | None:
    process = await asyncio.create_subprocess_exec(
        *argv,
        env={},
        cwd="/",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=descriptors,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    words = said.decode(errors="replace").strip().splitlines()
    return None if process.returncode == 0 else (words[-1] if words else f"exit code {process.returncode}")

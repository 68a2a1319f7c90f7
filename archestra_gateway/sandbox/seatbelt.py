"""The sandbox-exec profile of a policy, for macOS. Pure."""

import json
from collections.abc import Iterable
from pathlib import PurePath

from archestra_gateway.sandbox.policy import Policy

PROGRAM = "/usr/bin/sandbox-exec"
"""By its own path, so that PATH can not choose another."""

READABLE_CONTROLS = (
    "kern.osrelease",
    "kern.ostype",
    "kern.osversion",
    "kern.osproductversion",
    "kern.version",
    "kern.hostname",
    "kern.argmax",
    "kern.maxfilesperproc",
    "kern.usrstack64",
    "vm.loadavg",
)
"""Never all of them: kern.procargs2 shows the environment of other processes."""

SYSTEM = ("/System", "/usr/lib", "/usr/share", "/usr/bin", "/bin", "/Library/Apple", "/private/var/db/dyld")
SYSTEM_FILES = (
    "/private/etc/ssl/cert.pem",
    "/private/etc/localtime",
    "/dev/null",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
)
HEAD = """\
(version 1)
(deny default)
(allow process-fork)
(allow process-info* (target same-sandbox))
(allow signal (target same-sandbox))
(allow mach-host*)
(allow ipc-posix-sem)
(allow mach-lookup (global-name "com.apple.system.opendirectoryd.libinfo"))
(allow sysctl-read (sysctl-name-prefix "hw.") (sysctl-name-prefix "machdep.cpu."))
"""


def profile(policy: Policy, proxy_port: int | None, gateway_port: int) -> str:
    """`proxy_port` is the gate's, on loopback; of rules that fit, the last one counts."""
    readable = [*SYSTEM, *(mount.source for mount in policy.mounts)]
    writable = [mount.source for mount in policy.mounts if mount.is_writable]
    lines = [
        HEAD.rstrip(),
        _rule("allow sysctl-read", "sysctl-name", READABLE_CONTROLS),
        _rule("allow process-exec file-map-executable", "subpath", readable),
        _rule("allow file-read*", "subpath", readable),
        _rule("allow file-read*", "literal", SYSTEM_FILES),
        _rule("allow file-read-metadata", "literal", ancestors([*readable, *SYSTEM_FILES])),
        _rule("allow file-write*", "subpath", writable),
        _rule("allow file-write-data", "literal", ["/dev/null"]),
    ]
    if policy.hidden:
        lines.append(_rule("deny file-read* file-write*", "subpath", policy.hidden))
        inner = [m for m in policy.mounts if any(PurePath(m.target).is_relative_to(h) for h in policy.hidden)]
        lines.append(_rule("allow file-read*", "subpath", [mount.source for mount in inner]))
        lines.append(_rule("allow file-write*", "subpath", [m.source for m in inner if m.is_writable]))
    if proxy_port is not None:
        lines.append(f'(allow network-outbound (remote ip "localhost:{proxy_port}"))')
    lines.append(f'(deny network-outbound (remote ip "localhost:{gateway_port}"))')
    return "\n".join(line for line in lines if line) + "\n"


def command_line(policy: Policy, profile_path: str) -> list[str]:
    """There is no process namespace on macOS, and limits come from the shell that becomes the server."""
    limits = policy.limits
    script = f"ulimit -c 0 -n {limits.open_files} -f {limits.file_size // 512}; " + 'cd "$0" && exec "$@"'
    return [PROGRAM, "-f", profile_path, "/bin/sh", "-c", script, policy.cwd, *policy.command]


def ancestors(paths: Iterable[str]) -> list[str]:
    """Every folder above the paths: programs walk down to what they may read."""
    return sorted({str(parent) for path in paths for parent in PurePath(path).parents})


def _rule(action: str, kind: str, values: Iterable[str]) -> str:
    """Empty when there is nothing to name: a rule without a filter would mean everything."""
    filters = " ".join(f"({kind} {quoted(value)})" for value in values)
    return f"({action} {filters})" if filters else ""


def quoted(text: str) -> str:
    """A string of the profile language; a quote in a folder's name must not end it.

    Raises ValueError for control characters, which have no agreed notation there.
    """
    if any(character < " " for character in text):
        raise ValueError(f"{text!r} can not be named in a sandbox profile")
    return json.dumps(text, ensure_ascii=False)

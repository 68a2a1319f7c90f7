"""bubblewrap's command line for a policy. Pure: `put` takes bytes and gives the descriptor that has them."""

import os
from collections.abc import Callable, Sequence

import attrs

from archestra_gateway.sandbox.policy import Mount, Policy, is_system, is_within
from archestra_gateway.schemas.permissions import MIB

HOME = "/home/mcp"
TOOLS = "/run/archestra"
"""Where nothing is ever granted."""
STAGE = "/mnt"
PROXY_URL = "http://127.0.0.1:3128"
TMP_SIZE = 256 * MIB
SHM_SIZE = 64 * MIB
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}
NETWORK_CAPABILITIES = ("CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE")
"""For the moment in which the listeners of the gate are made; given up before the server runs."""

Put = Callable[[bytes], int]


@attrs.frozen
class Host:
    """Programs of this machine, and the system's paths with the target where one is a link."""

    bwrap: str
    prlimit: str
    setpriv: str | None
    paths: tuple[tuple[str, str | None], ...]


def command_line(policy: Policy, host: Host, seccomp: bytes, put: Put) -> list[str]:
    """As the daemon's own user."""
    return _bwrap(host.bwrap, arguments(policy, host, seccomp, put), put, inner_command(policy, host))


def command_line_as_root(policy: Policy, host: Host, seccomp: bytes, put: Put) -> list[str]:
    """Shows root's folders to another user who can not walk there, then becomes that user.

    Raises KeyError without setpriv.
    """
    if host.setpriv is None:
        raise KeyError("setpriv")
    sources = dict.fromkeys(mount.source for mount in policy.mounts if not is_system(mount.source))
    staged = {source: f"{STAGE}/{number}" for number, source in enumerate(sources)}
    mounts = (attrs.evolve(mount, source=staged.get(mount.source, mount.source)) for mount in policy.mounts)
    inner = command_line(attrs.evolve(policy, mounts=tuple(mounts)), host, seccomp, put)
    outer = ["--die-with-parent", "--dev-bind", "/", "/", "--tmpfs", STAGE]
    for source, stage in staged.items():
        outer += ["--bind", source, stage]
    user = [f"--reuid={policy.uid}", f"--regid={policy.gid}", "--clear-groups"]
    drop = [host.setpriv, *user, "--inh-caps=-all", "--bounding-set=-all", "--", *inner]
    return _bwrap(host.bwrap, outer, put, drop)


def _bwrap(bwrap: str, options: Sequence[str], put: Put, command: Sequence[str]) -> list[str]:
    """The options through a descriptor, so that no process list shows a person's folders."""
    data = b"".join(os.fsencode(option) + b"\0" for option in options)
    return [bwrap, "--args", str(put(data)), "--", *command]


def arguments(policy: Policy, host: Host, seccomp: bytes, put: Put) -> list[str]:
    """Everything between `bwrap` and `--`."""
    made = ["--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"]
    made += ["--unshare-net", "--uid", str(policy.uid), "--gid", str(policy.gid), "--hostname", "mcp"]
    made += ["--new-session", "--die-with-parent", "--cap-drop", "ALL"]
    if policy.reaches_out:  # capabilities over the network do not outlast a second user namespace
        for capability in NETWORK_CAPABILITIES:
            made += ["--cap-add", capability]
    else:
        made += ["--disable-userns"]
    made += ["--tmpfs", "/"]
    for path, link in host.paths:
        made += ["--symlink", link, path] if link else ["--ro-bind", path, path]
    for path, text in etc(policy).items():
        made += ["--perms", "0644", "--file", str(put(text)), path]
    made += ["--proc", "/proc", *_devices(policy)]
    made += ["--perms", "1777", "--size", str(SHM_SIZE), "--tmpfs", "/dev/shm"]  # noqa: S108
    made += [] if policy.reaches_out else ["--remount-ro", "/dev"]
    made += ["--perms", "1777", "--size", str(TMP_SIZE), "--tmpfs", "/tmp"]  # noqa: S108
    for mount in with_hidden(policy):
        if isinstance(mount, str):
            made += ["--tmpfs", mount]
        else:
            made += ["--bind" if mount.is_writable else "--ro-bind", mount.source, mount.target]
    made += [part for hidden in policy.hidden for part in ("--remount-ro", hidden)]
    return [*made, "--remount-ro", "/", "--chdir", policy.cwd, "--seccomp", str(put(seccomp))]


def _devices(policy: Policy) -> list[str]:
    """Terminals would need a second user namespace, too, so that a child with a way out has none."""
    if not policy.reaches_out:
        return ["--dev", "/dev"]
    made = ["--dir", "/dev"]
    for name in DEVICES:
        made += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    for name, target in DEVICE_LINKS.items():
        made += ["--symlink", target, f"/dev/{name}"]
    return made


def inner_command(policy: Policy, host: Host) -> list[str]:
    """Inside, so that the number of processes counts for this child alone. RLIMIT_AS would break node."""
    limits = policy.limits
    return [
        host.prlimit,
        "--core=0",
        f"--nofile={limits.open_files}",
        f"--fsize={limits.file_size}",
        f"--nproc={limits.processes}",
        f"--data={limits.memory}",
        "--",
        *policy.command,
    ]


def etc(policy: Policy) -> dict[str, bytes]:
    """The few files of /etc that programs ask for, without anybody else's name in them."""
    uid, gid = policy.uid, policy.gid
    texts = {
        "/etc/passwd": f"mcp:x:{uid}:{gid}:mcp:{HOME}:/usr/sbin/nologin\n",
        "/etc/group": f"mcp:x:{gid}:\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
        "/etc/hosts": "127.0.0.1 localhost mcp\n::1 localhost\n",
    }
    if policy.reaches_out:
        texts["/etc/resolv.conf"] = "nameserver 127.0.0.1\noptions timeout:5 attempts:1\n"
    return {path: text.encode() for path, text in texts.items()}


def with_hidden(policy: Policy) -> list[Mount | str]:
    """The mounts, with every hidden folder (a path) after what would show it, before what is in it."""
    outer = [mount for mount in policy.mounts if not _is_inside(mount, policy.hidden)]
    inner = [mount for mount in policy.mounts if _is_inside(mount, policy.hidden)]
    return [*outer, *policy.hidden, *inner]


def _is_inside(mount: Mount, hidden: Sequence[str]) -> bool:
    return any(is_within(mount.target, folder) for folder in hidden)

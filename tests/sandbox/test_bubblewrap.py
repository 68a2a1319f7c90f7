"""bubblewrap's command line, word by word."""

from typing import Any

import attrs
import pytest

from archestra_gateway.sandbox.bubblewrap import Host, command_line, command_line_as_root
from archestra_gateway.sandbox.policy import Mount, Policy
from archestra_gateway.schemas.permissions import Limits

HOST = Host("/usr/bin/bwrap", "/usr/bin/prlimit", "/usr/bin/setpriv", (("/usr", None), ("/bin", "usr/bin")))
POLICY = Policy(
    command=("/usr/bin/node", "server.js"),
    env={"TOKEN": "secret"},
    home="/data/servers/one/home",
    cwd="/home/mcp",
    uid=1000,
    gid=1000,
    mounts=(Mount("/data/servers/one/home", "/home/mcp", is_writable=True), Mount.same("/srv/docs")),
    limits=Limits(),
)


class Files:
    """Keeps what would go through descriptors, from 10 on."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []

    def put(self, data: bytes) -> int:
        self.kept.append(data)
        return 9 + len(self.kept)

    def options(self, argv: list[str]) -> list[str]:
        """Of the bwrap that `argv` begins with."""
        assert argv[1] == "--args"
        return self.kept[int(argv[2]) - 10].decode().split("\0")[:-1]


def made(**changes: Any) -> list[str]:
    files = Files()
    return files.options(command_line(attrs.evolve(POLICY, **changes), HOST, b"filter", files.put))


def follows(options: list[str], *words: str) -> bool:
    return any(tuple(options[at : at + len(words)]) == words for at in range(len(options)))


def test_a_process_list_shows_the_command_and_its_limits_only() -> None:
    argv = command_line(POLICY, HOST, b"filter", Files().put)

    assert argv == [
        "/usr/bin/bwrap", "--args", "15", "--",
        "/usr/bin/prlimit", "--core=0", "--nofile=1024", "--fsize=1073741824", "--nproc=256",
        "--data=2147483648",
        "--", "/usr/bin/node", "server.js",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ("--unshare-user",), ("--unshare-ipc",), ("--unshare-pid",), ("--unshare-uts",), ("--unshare-net",),
        ("--disable-userns",), ("--new-session",), ("--die-with-parent",), ("--cap-drop", "ALL"),
        ("--uid", "1000", "--gid", "1000"),
        ("--tmpfs", "/", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin"),
        ("--bind", "/data/servers/one/home", "/home/mcp", "--ro-bind", "/srv/docs", "/srv/docs"),
        ("--size", "268435456", "--tmpfs", "/tmp"), ("--size", "67108864", "--tmpfs", "/dev/shm"),
        ("--remount-ro", "/dev"), ("--remount-ro", "/", "--chdir", "/home/mcp", "--seccomp", "14"),
    ],
)  # fmt: skip
def test_what_every_child_gets(words: tuple[str, ...]) -> None:
    assert follows(made(), *words)


def test_no_secret_is_an_option() -> None:
    assert not [option for option in made() if "secret" in option or option == "--setenv"]


def test_who_may_reach_out_still_has_a_network_of_its_own() -> None:
    options = made(reaches_out=True)

    assert "--unshare-net" in options
    assert "--disable-userns" not in options
    assert follows(options, "--cap-add", "CAP_NET_ADMIN", "--cap-add", "CAP_NET_BIND_SERVICE")
    assert "/etc/resolv.conf" in options


def test_a_hidden_folder_lies_over_what_would_show_it_and_under_what_is_in_it() -> None:
    mounts = (Mount.same("/srv"), Mount("/srv/data/files", "/srv/data/files", is_writable=True))

    options = made(mounts=mounts, hidden=("/srv/data",))

    assert follows(
        options,
        "--ro-bind",
        "/srv",
        "/srv",
        "--tmpfs",
        "/srv/data",
        "--bind",
        "/srv/data/files",
        "/srv/data/files",
    )
    assert follows(options, "--remount-ro", "/srv/data")


def test_below_root_the_folders_are_shown_first_and_then_the_user_changes() -> None:
    files = Files()

    argv = command_line_as_root(attrs.evolve(POLICY, uid=60800, gid=60800), HOST, b"filter", files.put)

    inner = argv.index("/usr/bin/bwrap", 1)
    assert files.options(argv) == [
        "--die-with-parent", "--dev-bind", "/", "/", "--tmpfs", "/mnt",
        "--bind", "/data/servers/one/home", "/mnt/0", "--bind", "/srv/docs", "/mnt/1",
    ]  # fmt: skip
    assert argv[4:inner] == [
        "/usr/bin/setpriv", "--reuid=60800", "--regid=60800", "--clear-groups",
        "--inh-caps=-all", "--bounding-set=-all", "--",
    ]  # fmt: skip
    assert follows(
        files.options(argv[inner:]), "--bind", "/mnt/0", "/home/mcp", "--ro-bind", "/mnt/1", "/srv/docs"
    )

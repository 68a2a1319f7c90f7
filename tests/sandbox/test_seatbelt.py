"""The text of a sandbox-exec profile; macOS itself is not asked here."""

import attrs
import pytest

from archestra_gateway.sandbox.policy import Mount, Policy
from archestra_gateway.sandbox.seatbelt import command_line, profile

POLICY = Policy(
    command=("/opt/homebrew/bin/node", "server.js"),
    env={},
    home="/Users/me/data/servers/one/home",
    cwd="/Users/me/data/servers/one/home",
    uid=501,
    gid=20,
    mounts=(
        Mount.same("/opt/homebrew"),
        Mount.same("/Users/me/Docs"),
        Mount.same("/Users/me/data/servers/one/home", is_writable=True),
    ),
)


def rule(text: str, action: str) -> str:
    found = [line for line in text.splitlines() if line.startswith(f"({action} ")]
    assert len(found) == 1, found
    return found[0]


def test_everything_is_denied_that_is_not_named() -> None:
    text = profile(POLICY, None, 54587)

    assert text.splitlines()[:2] == ["(version 1)", "(deny default)"]
    assert "(allow network" not in text
    assert text.splitlines()[-1] == '(deny network-outbound (remote ip "localhost:54587"))'


def test_what_is_granted_can_be_read_and_only_the_rest_written() -> None:
    text = profile(POLICY, None, 54587)

    assert '(subpath "/Users/me/Docs")' in text
    assert (
        rule(text, "allow file-write*") == '(allow file-write* (subpath "/Users/me/data/servers/one/home"))'
    )
    assert '(literal "/Users/me")' in rule(text, "allow file-read-metadata")
    assert '(subpath "/Users/me")' not in text


def test_the_gate_is_the_only_way_out() -> None:
    text = profile(POLICY, 61234, 54587)

    assert text.splitlines()[-2:] == [
        '(allow network-outbound (remote ip "localhost:61234"))',
        '(deny network-outbound (remote ip "localhost:54587"))',
    ]


def test_a_hidden_folder_is_denied_after_what_would_show_it() -> None:
    policy = attrs.evolve(
        POLICY, mounts=(Mount.same("/Users/me"), *POLICY.mounts), hidden=("/Users/me/data",)
    )

    text = profile(policy, None, 54587)

    denied = text.index('(deny file-read* file-write* (subpath "/Users/me/data"))')
    assert text.index('(subpath "/Users/me")') < denied
    assert text.rindex('(allow file-write* (subpath "/Users/me/data/servers/one/home"))') > denied


def test_a_folders_name_is_never_code() -> None:
    odd = Mount.same('/Users/me/a") (allow default) ("')

    text = profile(attrs.evolve(POLICY, mounts=(odd,)), None, 54587)

    assert '(subpath "/Users/me/a\\") (allow default) (\\"")' in text
    with pytest.raises(ValueError, match="can not be named"):
        profile(attrs.evolve(POLICY, mounts=(Mount.same("/a\nb"),)), None, 54587)


def test_the_command_is_passed_as_words() -> None:
    assert command_line(POLICY, "/p.sb")[-4:] == [
        'ulimit -c 0 -n 1024 -f 2097152; cd "$0" && exec "$@"',
        "/Users/me/data/servers/one/home",
        "/opt/homebrew/bin/node",
        "server.js",
    ]

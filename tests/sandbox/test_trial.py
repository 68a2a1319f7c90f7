"""Which confinement a machine has is found by trying, and said plainly where there is none."""

import os
import shutil
from pathlib import Path

import pytest

from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.sandbox.confine import Sandbox
from archestra_gateway.sandbox.egress_gate import DenialList
from archestra_gateway.sandbox.grants import Wish
from archestra_gateway.sandbox.path import SearchPath
from archestra_gateway.sandbox.trial import find
from archestra_gateway.schemas.mcp_server import StdioConfig
from archestra_gateway.schemas.permissions import Permissions

EVERYTHING = SearchPath(("/usr/bin", "/bin"))
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="for others Landlock may take bubblewrap's place")


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder with the helpers of bubblewrap, and not with itself."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("prlimit", "setpriv"):
        (folder / name).symlink_to(shutil.which(name) or "/usr/bin/true")
    return folder


async def test_bubblewrap_is_used_where_it_works() -> None:
    found = await find(EVERYTHING, 0)

    assert found.mechanism is not None
    assert (found.mechanism.name, found.why) == ("bubblewrap", ())


@only_root
async def test_bubblewrap_that_is_forbidden_counts_as_none(tools: Path) -> None:
    bwrap = tools / "bwrap"
    bwrap.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    bwrap.chmod(0o755)

    found = await find(SearchPath((str(tools),)), 0)

    assert found.mechanism is None
    assert found.why[0] == "bubblewrap: bwrap: setting up uid map: Permission denied"


@only_root
async def test_without_confinement_a_server_is_refused_with_what_to_do(sandbox: Sandbox, tools: Path) -> None:
    wish = Wish("one", StdioConfig(command="true"), Permissions())

    with pytest.raises(UpstreamUnavailable) as refused:
        await sandbox.launch(wish, SearchPath((str(tools),)), {}, DenialList("one"))

    assert "bubblewrap is not installed" in refused.value.message
    assert "apt install bubblewrap" in refused.value.message
    assert 'set its `permissions.sandbox` to "off"' in refused.value.message
    assert sandbox.describe()["mechanism"] == "none"


@only_root
async def test_one_server_can_be_allowed_to_run_without(sandbox: Sandbox) -> None:
    wish = Wish("one", StdioConfig(command="true"), Permissions(sandbox="off"))

    with pytest.raises(UpstreamUnavailable, match=r"would be root .* set `mcp.allow_root`"):
        await sandbox.launch(wish, EVERYTHING, {}, DenialList("one"))
    sandbox.allows_root = True

    launched = await sandbox.launch(wish, EVERYTHING, {}, DenialList("one"))

    assert (launched.argv, launched.sandbox) == (("/usr/bin/true",), "none")

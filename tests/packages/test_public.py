"""npm's and pip's own registries, as they tell themselves."""

import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pip._internal.models.index import PyPI

from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.packages.installer import Order, with_registry
from archestra_gateway.packages.package import Package
from archestra_gateway.packages.public import is_public, npm_registry
from archestra_gateway.packages.settings_npm import npm_settings
from archestra_gateway.sandbox.path import SearchPath

NPM = shutil.which("npm") or ""
SEARCH = SearchPath(tuple(os.environ["PATH"].split(os.pathsep)))

needs_npm = pytest.mark.skipif(not NPM, reason="needs npm")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def usual(home: Path) -> str:
    return npm_registry((NPM,), SEARCH, home)


def hosts(order: Order) -> set[str]:
    return {str(host) for host in order.settings.hosts}


def ordered(home: Path, npmrc: str = "") -> Order:
    """With npm's own registry where it is needed."""
    (home / ".npmrc").write_text(npmrc)
    package = Package("npm", ("demo",), None)
    order = Order(package, "one", home, npm_settings({}, {}, home, None))
    return with_registry(order, (NPM,), SEARCH, home)


@needs_npm
def test_npm_tells_its_own_registry_whatever_the_settings_say(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".npmrc").write_text("registry=https://corporate.example/\n")
    monkeypatch.setenv("npm_config_registry", "https://variable.example/")

    told = npm_registry((NPM,), SEARCH, home)

    assert is_public("npm", told)
    assert list(home.iterdir()) == [home / ".npmrc"], "npm keeps no log of that"


@needs_npm
def test_npm_is_asked_where_the_daemon_itself_would_not_find_node(
    home: Path, usual: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version manager's folder, which is on the PATH of terminals alone."""
    folder = home / "node" / "bin"
    folder.mkdir(parents=True)
    for program in ("node", "npm"):
        (folder / program).symlink_to(os.path.realpath(shutil.which(program) or ""))
    (folder / "env").symlink_to("/usr/bin/env")
    monkeypatch.setenv("PATH", "/nonexistent")

    assert npm_registry((str(folder / "npm"),), SearchPath((str(folder),)), home) == usual


@pytest.mark.parametrize("says", ["exit 1", "echo undefined"])
def test_an_npm_that_does_not_tell_is_asked_again_the_next_time(home: Path, says: str) -> None:
    npm = home / "npm"
    npm.write_text(f"#!/bin/sh\n{says}\n")
    npm.chmod(0o755)

    with pytest.raises(UpstreamUnavailable, match=r"npm does not tell .+: name one in ~/\.npmrc"):
        npm_registry((str(npm),), SEARCH, home)

    npm.write_text("#!/bin/sh\necho https://registry.example/\n")
    assert npm_registry((str(npm),), SEARCH, home) == "https://registry.example/"


@needs_npm
def test_npms_own_registry_may_be_reached_where_the_settings_name_none(home: Path, usual: str) -> None:
    own = f"{urlsplit(usual).hostname}:443"

    assert hosts(ordered(home)) == {own}
    assert hosts(ordered(home, "@ours:registry=https://ours.example/\n")) == {own, "ours.example:443"}
    assert hosts(ordered(home, "registry=https://corporate.example/\n")) == {"corporate.example:443"}


@needs_npm
def test_a_document_may_name_npms_own_registry_and_no_other(usual: str) -> None:
    assert is_public("npm", usual)
    assert is_public("npm", usual.rstrip("/"))
    assert not is_public("npm", "https://corporate.example/")
    assert not is_public("npm", f"{usual.rstrip('/')}.example/")
    assert not is_public("npm", PyPI.url)


def test_a_document_may_name_pypi_and_no_other_index() -> None:
    assert all(is_public("pypi", url) for url in (PyPI.url, PyPI.url.rstrip("/"), PyPI.simple_url))
    assert not is_public("pypi", "https://pypi.example/simple")

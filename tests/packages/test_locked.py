"""Locks compared, and folders of files told apart."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from archestra_gateway.packages.locked import Change, Locked, changes
from archestra_gateway.packages.npm import lock_of as npm_lock
from archestra_gateway.packages.package import Package
from archestra_gateway.packages.pypi import lock_of as pypi_lock
from archestra_gateway.packages.report import InstallFailed
from archestra_gateway.packages.tree import digest, remove


def test_two_locks_differ_by_what_came_went_and_changed() -> None:
    before = [Locked("a", "1"), Locked("b", "1"), Locked("c", "1"), Locked("d", "1"), Locked("d", "2")]
    after = [Locked("a", "1"), Locked("b", "2"), Locked("d", "2"), Locked("e", "1")]

    assert changes(before, after) == [
        Change("b", "1", "2"),
        Change("c", "1", None),
        Change("d", "1, 2", "2"),
        Change("e", None, "1"),
    ]


def test_a_package_without_a_hash_is_not_installed() -> None:
    package = Package("npm", ("server",), None)
    text = (
        '{"packages": {"": {}, "node_modules/server": {"version": "1.0.0", "integrity": "sha512-x"},'
        ' "node_modules/part": {"version": "1.0.0", "resolved": "git+ssh://git@example.com/part.git"}}}'
    )

    with pytest.raises(InstallFailed, match=r"part has no hash in the lock.*git\+ssh"):
        npm_lock(text, package)
    with pytest.raises(InstallFailed, match="part has no hash in the lock"):
        pypi_lock(
            "server==1 \\\n    --hash=sha256:00\npart==1\n", Package("pypi", ("server",), "x"), "python"
        )


def test_a_python_lock_is_read_with_markers_and_extras() -> None:
    text = 'My_Server[cli]==1.2 ; sys_platform == "linux" \\\n    --hash=sha256:0a \\\n    --hash=sha256:0b\n'

    lock = pypi_lock(text, Package("pypi", ("my.server[cli]",), "x"), "/usr/bin/python3")

    assert lock.packages == (Locked("my-server", "1.2", ("sha256:0a", "sha256:0b")),)
    assert (lock.version, lock.python) == ("1.2", "/usr/bin/python3")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").write_text("text")
    (folder / "link").symlink_to("inner/file")
    return folder


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: (tree / "inner" / "file").write_text("tex7"),
        lambda tree: (tree / "inner" / "file").chmod(0o755),
        lambda tree: (tree / "inner" / "more").touch(),
        lambda tree: (tree / "inner" / "empty").mkdir(),
        lambda tree: (tree / "inner" / "file").rename(tree / "file"),
        lambda tree: ((tree / "link").unlink(), (tree / "link").symlink_to("/etc/passwd")),
        lambda tree: ((tree / "link").unlink(), (tree / "link").write_text("text")),
    ],
)
def test_every_change_of_a_tree_changes_its_digest(tree: Path, change: Callable[[Path], object]) -> None:
    before = digest(tree)
    assert digest(tree) == before

    change(tree)

    assert digest(tree) != before


def test_a_time_is_no_change(tree: Path) -> None:
    before = digest(tree)

    os.utime(tree / "inner" / "file", (0, 0))

    assert digest(tree) == before


def test_a_tree_is_removed_with_folders_that_nobody_may_write_and_without_following_links(
    tree: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tree / "inner" / "away").symlink_to(outside)
    (tree / "inner").chmod(0o500)

    remove(tree)

    assert not tree.exists()
    assert outside.exists()

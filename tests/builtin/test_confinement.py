"""The pure and the careful part of confinement, by cases."""

import os
from pathlib import Path

import pytest

from archestra_gateway.builtin import confinement
from archestra_gateway.builtin.confinement import Folder, Location, Refused

OUTER, INNER, ROOT = Folder("/a", False), Folder("/a/b", True), Folder("/", False)


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/a", Location(OUTER, ())),
        ("/a/c/d", Location(OUTER, ("c", "d"))),
        ("/a/b", Location(INNER, ())),
        ("/a/b/c", Location(INNER, ("c",))),
        ("/ab", None),
        ("/", None),
    ],
)
def test_the_innermost_folder_contains_a_path(path: str, location: Location | None) -> None:
    assert confinement.containing((OUTER, INNER), path) == location


def test_the_root_contains_everything() -> None:
    assert confinement.containing((ROOT,), "/etc/passwd") == Location(ROOT, ("etc", "passwd"))


def test_a_link_that_appears_after_the_path_was_resolved_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/a.txt").write_text("secret")
    (tmp_path / "folder").mkdir()
    folder = Folder(str(tmp_path / "folder"), True)
    (tmp_path / "folder/door").symlink_to("../outside")
    (tmp_path / "folder/file").symlink_to("../outside/a.txt")

    with pytest.raises(OSError, match="door"), confinement.opened_file(Location(folder, ("door", "a.txt"))):
        pass
    with pytest.raises(Refused, match="symbolic link"), confinement.opened_file(Location(folder, ("file",))):
        pass


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    folder = Folder(str(tmp_path), True)
    before = len(os.listdir("/dev/fd"))

    for parts in ((), ("a", "b"), ("a", "none"), ("a", "b", "none")):
        try:
            with confinement.opened_directory(Location(folder, parts)):
                pass
        except FileNotFoundError:
            pass

    assert len(os.listdir("/dev/fd")) == before

"""Nobody but its owner looks into the data directory, and nobody else's directory is touched."""

import os
from pathlib import Path

import pytest

from archestra_gateway.services.data_dir import DataDirError, prepare
from archestra_gateway.services.token import load_token, rotate_token


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_directory_is_closed_to_others(tmp_path: Path) -> None:
    prepare(tmp_path / "new" / "data")

    assert mode(tmp_path / "new" / "data") == 0o700


def test_a_directory_of_ours_that_stands_open_is_closed(tmp_path: Path) -> None:
    load_token(tmp_path / "data")
    (tmp_path / "data").chmod(0o755)

    prepare(tmp_path / "data")

    assert mode(tmp_path / "data") == 0o700


def test_an_open_directory_with_other_files_is_left_alone(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    (shared / "letter.txt").touch()

    with pytest.raises(DataDirError, match="choose an empty directory with --data-dir"):
        prepare(shared)

    assert mode(shared) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, -1)

    with pytest.raises(DataDirError, match="belongs to another user"):
        prepare(tmp_path)


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").touch()

    with pytest.raises(DataDirError, match="can not be the data directory"):
        prepare(tmp_path / "data")


def test_the_token_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    token = load_token(tmp_path / "data")

    assert len(token) >= 43
    assert load_token(tmp_path / "data") == token
    assert mode(tmp_path / "data" / "token") == 0o600
    assert os.listdir(tmp_path / "data") == ["token"]


def test_a_token_file_that_others_read_is_closed(tmp_path: Path) -> None:
    token = load_token(tmp_path / "data")
    (tmp_path / "data" / "token").chmod(0o644)

    assert load_token(tmp_path / "data") == token
    assert mode(tmp_path / "data" / "token") == 0o600


def test_an_empty_token_is_no_token(tmp_path: Path) -> None:
    load_token(tmp_path / "data")
    (tmp_path / "data" / "token").write_text("\n")

    with pytest.raises(DataDirError, match="Delete it"):
        load_token(tmp_path / "data")


def test_a_rotated_token_replaces_the_old_one(tmp_path: Path) -> None:
    old = load_token(tmp_path / "data")

    new = rotate_token(tmp_path / "data")

    assert new != old
    assert load_token(tmp_path / "data") == new

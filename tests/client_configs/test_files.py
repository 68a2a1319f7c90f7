"""A file is changed whole or not at all, whoever else writes, and whenever the writer is killed."""

import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest

from archestra_gateway.client_configs import files
from archestra_gateway.client_configs.backups import Backups
from archestra_gateway.client_configs.formats import Format, entries, set_entry
from archestra_gateway.client_configs.section import Section
from archestra_gateway.errors import Conflict, NotFound

WRITER = Path(__file__).parent.parent / "fakes" / "slow_writer.py"
SERVERS = Section(("mcpServers",))
OLD = '{\n  // mine\n  "mcpServers": {"other": {"url": "http://localhost/other"}}\n}\n'
STEPS = (
    "locked",
    "read",
    "backed up",
    "temporary made",
    "half written",
    "written",
    "compared",
    "renamed",
    "synced",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "home" / "mcp.json"
    file.parent.mkdir()
    file.write_text(OLD)
    return file


def start(path: Path, backups: Backups, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(WRITER), str(path), str(backups.folder), name]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def pipes(writer: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert writer.stdin
    assert writer.stdout
    return writer.stdin, writer.stdout


def go_until(writer: subprocess.Popen[str], step: str) -> None:
    """Lets the writer work until it has done `step`."""
    to, of = pipes(writer)
    while (done := of.readline().strip()) != step:
        assert done, f"the writer ended before it had {step}"
        to.write("\n")
        to.flush()


def names(path: Path) -> set[str]:
    return set(entries(Format.JSONC, path.read_text(), SERVERS))


def with_server(name: str) -> files.Change:
    return lambda old: set_entry(Format.JSONC, old or "", SERVERS, name, {"url": f"http://localhost/{name}"})


@pytest.mark.parametrize("step", STEPS)
def test_a_writer_that_is_killed_leaves_the_old_file_or_the_new_one(
    path: Path, backups: Backups, step: str
) -> None:
    new = with_server("killed")(OLD)
    writer = start(path, backups, "killed")
    go_until(writer, step)

    writer.kill()
    writer.communicate()
    after_the_kill = path.read_text()
    files.update(path, with_server("next"), backups, "cursor")

    assert after_the_kill == (new if STEPS.index(step) >= STEPS.index("renamed") else OLD)
    assert names(path) - {"killed"} == {"other", "next"}
    assert os.listdir(path.parent) == ["mcp.json"]


def test_ten_writers_at_once_lose_nothing(path: Path, backups: Backups) -> None:
    writers = [start(path, backups, f"server-{number}") for number in range(10)]

    with ThreadPoolExecutor(10) as pool:
        ends = list(pool.map(lambda writer: writer.communicate("\n" * 20, timeout=60), writers))

    assert [writer.returncode for writer in writers] == [0] * 10, ends
    assert names(path) == {"other", *(f"server-{number}" for number in range(10))}
    assert len(backups.of("cursor")) >= backups.kept


def test_what_another_program_wrote_in_between_is_kept(path: Path, backups: Backups) -> None:
    writer = start(path, backups, "ours")
    go_until(writer, "written")

    path.write_text(with_server("theirs")(OLD) or "")
    writer.communicate("\n" * 20, timeout=30)

    assert names(path) == {"other", "theirs", "ours"}
    assert [backups.read("cursor", backup.id).decode() for backup in backups.of("cursor")] == [
        with_server("theirs")(OLD)
    ]


def test_a_file_that_never_rests_is_left_to_its_program(path: Path, backups: Backups) -> None:
    count = iter(range(1, 1000))

    def disturb(done: str) -> None:
        if done == "written":
            path.write_text(OLD + " " * next(count))

    with pytest.raises(Conflict, match="The file keeps changing"):
        files.update(path, with_server("ours"), backups, "cursor", disturb)

    assert names(path) == {"other"}
    assert os.listdir(path.parent) == ["mcp.json"]


def test_a_symlink_stays_a_symlink_and_its_target_is_written(
    path: Path, backups: Backups, tmp_path: Path
) -> None:
    dotfiles = tmp_path / "dotfiles"
    dotfiles.mkdir()
    target = path.rename(dotfiles / "cursor.json")
    link, second = path, path.with_name("second.json")
    link.symlink_to("../dotfiles/cursor.json")
    second.symlink_to(link)

    files.update(second, with_server("ours"), backups, "cursor")

    assert second.is_symlink()
    assert os.readlink(link) == "../dotfiles/cursor.json"
    assert not target.is_symlink()
    assert names(target) == {"other", "ours"}


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o755])
def test_the_mode_stays(path: Path, backups: Backups, mode: int) -> None:
    path.chmod(mode)

    files.update(path, with_server("ours"), backups, "cursor")

    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_owner_stays(path: Path, backups: Backups) -> None:
    os.chown(path, 12345, 23456)

    files.update(path, with_server("ours"), backups, "cursor")

    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


def test_a_new_file_is_for_its_owner_alone_and_goes_with_its_folders(
    tmp_path: Path, backups: Backups
) -> None:
    path = tmp_path / "home" / ".cursor" / "deep" / "mcp.json"

    written = files.update(path, with_server("ours"), backups, "cursor")
    mode = stat.S_IMODE(path.stat().st_mode)
    files.update(path, lambda old: None, backups, "cursor")
    files.remove_empty(written.folders)

    assert mode == 0o600
    assert written.old is None
    assert written.backup is None
    assert not (tmp_path / "home").exists()


def test_a_folder_in_which_something_else_lives_now_stays(tmp_path: Path, backups: Backups) -> None:
    path = tmp_path / "home" / ".cursor" / "mcp.json"

    written = files.update(path, with_server("ours"), backups, "cursor")
    (path.parent / "other").touch()
    files.update(path, lambda old: None, backups, "cursor")
    files.remove_empty(written.folders)

    assert os.listdir(path.parent) == ["other"]


def test_bom_and_line_ends_stay(path: Path, backups: Backups) -> None:
    path.write_bytes(b'\xef\xbb\xbf{\r\n  "a": 1\r\n}\r\n')

    files.update(path, with_server("ours"), backups, "cursor")

    content = path.read_bytes()
    assert content.startswith(b'\xef\xbb\xbf{\r\n  "a": 1,\r\n')
    assert content.count(b"\n") == content.count(b"\r\n") > 5


def test_nothing_is_written_when_nothing_changes(path: Path, backups: Backups) -> None:
    before = path.stat()

    written = files.update(path, lambda old: old, backups, "cursor")

    assert not written.is_changed
    assert path.stat() == before
    assert backups.of("cursor") == []


def test_a_change_that_fails_leaves_everything(path: Path, backups: Backups) -> None:
    def fail(old: str | None) -> str:
        raise ValueError("line 3: rubbish")

    with pytest.raises(ValueError, match="line 3"):
        files.update(path, fail, backups, "cursor")

    assert path.read_text() == OLD
    assert os.listdir(path.parent) == ["mcp.json"]


class TestRefusals:
    def test_not_utf_8(self, path: Path, backups: Backups) -> None:
        path.write_bytes('{"é": 1}'.encode("utf-16"))

        with pytest.raises(Conflict, match="The file is not UTF-8, so it is left alone"):
            files.update(path, with_server("ours"), backups, "cursor")

    def test_read_only(self, path: Path, backups: Backups) -> None:
        path.chmod(0o444)

        with pytest.raises(Conflict, match="it is read-only"):
            files.update(path, with_server("ours"), backups, "cursor")

        assert path.read_text() == OLD

    def test_a_folder(self, path: Path, backups: Backups) -> None:
        with pytest.raises(Conflict, match="It is not a regular file"):
            files.update(path.parent, with_server("ours"), backups, "cursor")

    def test_a_circle_of_symlinks(self, tmp_path: Path, backups: Backups) -> None:
        (tmp_path / "a").symlink_to(tmp_path / "b")
        (tmp_path / "b").symlink_to(tmp_path / "a")

        with pytest.raises(Conflict, match="The file can not be used: too many levels"):
            files.update(tmp_path / "a", with_server("ours"), backups, "cursor")

    def test_a_fifo_is_not_waited_for(self, tmp_path: Path, backups: Backups) -> None:
        os.mkfifo(tmp_path / "pipe")

        with pytest.raises(Conflict, match="It is not a regular file"):
            files.read(tmp_path / "pipe")


class TestBackups:
    def test_every_change_keeps_what_was_there(self, path: Path, backups: Backups) -> None:
        files.update(path, with_server("one"), backups, "cursor")
        written = files.update(path, with_server("two"), backups, "cursor")

        assert written.backup
        assert backups.read("cursor", written.backup).decode() == with_server("one")(OLD)
        assert backups.of("cursor")[0].id == written.backup
        assert backups.read("cursor", backups.of("cursor")[1].id).decode() == OLD

    def test_only_so_many_are_kept(self, path: Path, backups: Backups) -> None:
        for number in range(8):
            files.update(path, with_server(f"server-{number}"), backups, "cursor")

        kept = backups.of("cursor")
        assert len(kept) == 5
        assert [len(entries(Format.JSONC, backups.read("cursor", b.id).decode(), SERVERS)) for b in kept] == [
            8,
            7,
            6,
            5,
            4,
        ]

    def test_nobody_else_may_read_them(self, path: Path, backups: Backups) -> None:
        files.update(path, with_server("one"), backups, "cursor")

        inside = [backups.folder, *backups.folder.rglob("*")]
        modes = {(each.is_dir(), stat.S_IMODE(each.stat().st_mode)) for each in inside}
        assert modes == {(True, 0o700), (False, 0o600)}

    @pytest.mark.parametrize("backup", ["../../etc/passwd", "", ".", "20260101T000000.000000Z"])
    def test_a_backup_that_is_not_there(self, backups: Backups, backup: str) -> None:
        with pytest.raises(NotFound, match="There is no backup"):
            backups.read("cursor", backup)

    def test_names_of_clients_can_not_leave_the_folder(self, backups: Backups) -> None:
        path = backups.keep("../../cursor", b"x")

        assert path.is_relative_to(backups.folder / "backups")
        assert backups.of(".._.._cursor") == []


def test_the_lock_is_waited_for(path: Path, backups: Backups) -> None:
    order: list[str] = []
    is_held, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        with backups.locked(path):
            is_held.set()
            may_go.wait()
            order.append("held")

    with ThreadPoolExecutor(2) as pool:
        holder = pool.submit(hold)
        is_held.wait()
        waiter = pool.submit(
            files.update, path, with_server("one"), backups, "cursor", lambda done: order.append(done)
        )
        may_go.set()
        holder.result()
        waiter.result()

    assert order[:2] == ["held", "locked"]

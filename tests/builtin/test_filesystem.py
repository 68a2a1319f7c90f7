"""Files through the built-in server: what can be done with them, and that nothing else can be reached."""

import base64
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_without_a_folder_it_says_how_it_is_used() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "archestra_gateway.builtin.filesystem"], capture_output=True, text=True
    )

    assert ended.returncode == 2
    assert "at least one folder is needed: --read-only DIR or --read-write DIR" in ended.stderr


def test_a_folder_that_does_not_exist_is_refused_at_once(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "archestra_gateway.builtin.filesystem", "--read-only", str(tmp_path / "none")],
        capture_output=True,
        text=True,
    )

    assert ended.returncode == 2
    assert "none is not a folder" in ended.stderr


def test_the_first_answer_comes_before_a_person_notices(start: Callable[..., Any], folder: Path) -> None:
    def seconds() -> float:
        begun = time.monotonic()
        start("--read-only", str(folder)).request("tools/list")
        return time.monotonic() - begun

    assert min(seconds() for _ in range(3)) < 0.3  # the best of three: others use this machine too


def test_what_is_written_can_be_read(child: Any, folder: Path) -> None:
    said = child.read("write_file", path="grüße.txt", content="Grüße\n")

    assert said == f"Wrote 8 bytes to {folder / 'grüße.txt'}."
    assert child.read("read_file", path="grüße.txt") == "Grüße\n"
    assert os.listdir(folder) == ["grüße.txt"]


def test_a_replaced_file_keeps_its_mode(child: Any, folder: Path) -> None:
    script = folder / "run.sh"
    script.write_text("old")
    script.chmod(0o751)

    child.read("write_file", path="run.sh", content="new")

    assert (script.read_text(), script.stat().st_mode & 0o7777) == ("new", 0o751)


def test_missing_folders_are_created_when_asked_for(child: Any, folder: Path) -> None:
    refused = child.refusal("write_file", path="a/b/c.txt", content="x")
    child.read("write_file", path="a/b/c.txt", content="x", create_parents=True)

    assert refused == "a/b/c.txt does not exist, or the folder that should hold it does not."
    assert (folder / "a/b/c.txt").read_text() == "x"


def test_a_large_file_is_read_in_parts_that_never_cut_a_character(child: Any, folder: Path) -> None:
    whole = "€" * 20
    (folder / "large.txt").write_text(whole)

    first = child.call("read_file", path="large.txt", limit=32)["content"]
    second = child.call("read_file", path="large.txt", offset=30)["content"]

    assert first[1]["text"] == "These are the bytes 0 to 30 of 60. To read on, give offset 30."
    assert first[0]["text"] + second[0]["text"] == whole


def test_a_binary_file_is_read_and_written_as_base64(child: Any, folder: Path) -> None:
    (folder / "a.bin").write_bytes(b"\xff\x00\xfe")

    refused = child.refusal("read_file", path="a.bin")
    encoded = child.read("read_file", path="a.bin", encoding="base64")
    child.read("write_file", path="b.bin", content=encoded, encoding="base64")
    broken = child.refusal("write_file", path="b.bin", content="§", encoding="base64")

    assert refused == 'a.bin is not UTF-8 text. Read it with encoding "base64".'
    assert base64.b64decode(encoded) == (folder / "b.bin").read_bytes() == b"\xff\x00\xfe"
    assert broken.startswith("content is not base64")


def test_a_folder_is_listed_with_types_and_sizes(child: Any, folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "b.txt").write_text("12345")
    (folder / "link").symlink_to("b.txt")
    os.mkfifo(folder / "pipe")

    listed = child.call("list_directory")["structuredContent"]

    assert listed["entries"] == [
        {"name": "b.txt", "type": "file", "size": 5},
        {"name": "link", "type": "symlink"},
        {"name": "pipe", "type": "other"},
        {"name": "sub", "type": "directory"},
    ]


def test_a_long_list_is_cut_and_says_so(child: Any, folder: Path) -> None:
    for number in range(2001):
        (folder / f"{number:04}").touch()

    listed = child.call("list_directory")["structuredContent"]

    assert (len(listed["entries"]), listed["total"], listed["is_cut"]) == (2000, 2001, True)


def test_a_name_that_is_not_unicode_does_not_break_the_answer(child: Any, folder: Path) -> None:
    (folder / os.fsdecode(b"caf\xe9")).touch()

    assert child.call("list_directory")["structuredContent"]["entries"][0]["name"] == "caf?"


def test_information_is_given_about_files_and_folders(child: Any, folder: Path) -> None:
    (folder / "a.txt").write_text("abc")
    os.utime(folder / "a.txt", (0, 0))
    (folder / "a.txt").chmod(0o640)

    assert child.call("file_info", path="a.txt")["structuredContent"] == {
        "path": str(folder / "a.txt"),
        "type": "file",
        "size": 3,
        "modified": "1970-01-01T00:00:00Z",
        "permissions": "-rw-r-----",
        "is_in_writable_folder": True,
    }
    assert child.call("file_info", path=".")["structuredContent"]["type"] == "directory"


def test_files_are_found_by_name_and_by_content(child: Any, folder: Path) -> None:
    (folder / "src/deep").mkdir(parents=True)
    (folder / "src/deep/a.py").write_text("one\ntwo needle\n")
    (folder / "src/b.py").write_text("nothing")
    (folder / "c.bin").write_bytes(b"\0needle")

    by_name = child.call("search_files", pattern="src/**/*.py")["structuredContent"]
    by_content = child.call("search_files", content="needle")["structuredContent"]

    assert [found["path"] for found in by_name["results"]] == [
        str(folder / "src/b.py"),
        str(folder / "src/deep/a.py"),
    ]
    assert by_content == {
        "results": [
            {"path": str(folder / "src/deep/a.py"), "type": "file", "line": 2, "text": "two needle"},
        ],
        "is_cut": False,
    }


def test_a_search_is_bounded_in_results_and_depth(child: Any, folder: Path) -> None:
    (folder / "a/b/c").mkdir(parents=True)
    for number in range(10):
        (folder / f"{number}.txt").write_text("x\nx\nx\n")

    few = child.call("search_files", pattern="*.txt", max_results=3)["structuredContent"]
    lines = child.call("search_files", content="x", max_results=2)["structuredContent"]
    shallow = child.call("search_files", pattern="?", max_depth=2)["structuredContent"]

    assert (len(few["results"]), few["reason"]) == (3, "There are more than 3 results.")
    assert (len(lines["results"]), lines["is_cut"]) == (2, True)
    assert [found["path"] for found in shallow["results"]] == [str(folder / "a"), str(folder / "a/b")]


def test_relative_paths_begin_in_the_first_folder_and_every_folder_is_reached(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(name)
    child = start("--read-only", str(tmp_path / "one"), "--read-write", str(tmp_path / "two"))

    refused = child.refusal("write_file", path="a.txt", content="x")
    child.read("write_file", path=str(tmp_path / "two/a.txt"), content="changed")

    assert child.read("read_file", path="a.txt") == "one"
    assert (
        refused == f"a.txt is read-only here: it can be read and not be written. Writable: {tmp_path / 'two'}"
    )
    assert (tmp_path / "two/a.txt").read_text() == "changed"


def test_a_folder_may_be_named_by_a_link(start: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    (folder / "a.txt").write_text("a")
    (tmp_path / "name").symlink_to(folder)
    child = start("--read-only", str(tmp_path / "name"))

    assert child.read("read_file", path=str(tmp_path / "name/a.txt")) == "a"
    assert child.read("read_file", path=str(folder / "a.txt")) == "a"


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "sub/../../secret.txt",
        "/etc/passwd",
        "link.txt",
        "up/secret.txt",
        "absolute/etc/passwd",
        "loop",
        "../folder-beside/a.txt",
    ],
)
@pytest.mark.parametrize("tool", ["read_file", "file_info", "list_directory", "search_files", "write_file"])
def test_nothing_outside_of_the_folder_is_reached(
    child: Any, folder: Path, tmp_path: Path, tool: str, path: str
) -> None:
    (folder / "sub").mkdir()
    (folder / "link.txt").symlink_to("../secret.txt")
    (folder / "up").symlink_to("..")
    (folder / "absolute").symlink_to("/")
    (folder / "loop").symlink_to("loop")
    (tmp_path / "folder-beside").mkdir()
    (tmp_path / "folder-beside/a.txt").write_text("secret")

    arguments = {"path": path} | ({"content": "x"} if tool == "write_file" else {})
    result = child.call(tool, **arguments)

    if path == "loop" and tool == "file_info":
        assert result["structuredContent"]["type"] == "symlink"
    else:
        assert result["isError"] is True
    assert "root:" not in json.dumps(result)
    assert (tmp_path / "secret.txt").read_text() == (tmp_path / "folder-beside/a.txt").read_text() == "secret"


def test_an_outside_path_is_refused_with_the_folders_that_are_allowed(child: Any, folder: Path) -> None:
    assert child.refusal("read_file", path="/etc/passwd") == (
        f"/etc/passwd is outside of the allowed folders. Allowed: {folder}"
    )


def test_links_that_stay_inside_are_followed(child: Any, folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "real/a.txt").write_text("a")
    (folder / "alias").symlink_to("real")

    child.read("write_file", path="alias/a.txt", content="b")

    assert (folder / "alias").is_symlink()
    assert (folder / "real/a.txt").read_text() == "b"


def test_a_search_does_not_follow_links(child: Any, folder: Path) -> None:
    (folder / "up").symlink_to("..")
    (folder / "file").symlink_to("../secret.txt")

    found = child.call("search_files")["structuredContent"]["results"]

    assert [result["type"] for result in found] == ["symlink", "symlink"]
    assert child.call("search_files", content="secret")["structuredContent"]["results"] == []


@pytest.mark.parametrize("tool", ["read_file", "write_file"])
def test_a_fifo_a_socket_and_a_folder_are_refused_and_nobody_waits(
    child: Any, folder: Path, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)  # a socket's path may not be long
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    content = {"content": "x"} if tool == "write_file" else {}

    assert (
        child.refusal(tool, path="pipe", **content)
        == "pipe is a FIFO; only regular files can be read and written."
    )
    assert child.refusal(tool, path="socket", **content).startswith("socket is a socket;")
    assert child.refusal(tool, path=".", **content) == (
        ". is a folder, not a file. list_directory shows what is in it."
    )


def test_a_device_is_refused(start: Callable[..., Any]) -> None:
    assert start("--read-only", "/dev").refusal("read_file", path="zero").startswith("zero is a device;")


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "x" * 5000, "a/" * 3000])
def test_an_impossible_path_is_a_sentence(child: Any, path: str) -> None:
    assert child.refusal("read_file", path=path).endswith((".", "allowed folders."))


def test_half_a_character_is_not_written(child: Any, folder: Path) -> None:
    assert child.refusal("write_file", path="a", content="\ud800").startswith(
        "content has half of a surrogate"
    )
    assert os.listdir(folder) == []


def test_a_folder_that_is_swapped_for_a_link_all_the_time_leads_nowhere(
    child: Any, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/a.txt").write_text("secret")
    (folder / "inside").mkdir()
    (folder / "inside/a.txt").write_text("public")
    (folder / "door").mkdir()
    stop = threading.Event()

    def swap() -> None:
        """`door` is by turns the folder `inside` and a link to `outside`."""
        (folder / "door").rmdir()
        while not stop.is_set():
            (folder / "inside").rename(folder / "door")
            (folder / "door").rename(folder / "inside")
            (folder / "door").symlink_to(tmp_path / "outside")
            (folder / "door").unlink()

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        results = [child.call("read_file", path="door/a.txt") for _ in range(1500)]
        results += [child.call("write_file", path="door/a.txt", content="public") for _ in range(300)]
    finally:
        stop.set()
        swapper.join()

    assert any("isError" not in result for result in results)
    assert "secret" not in json.dumps(results)
    assert os.listdir(tmp_path / "outside") == ["a.txt"]
    assert (tmp_path / "outside/a.txt").read_text() == "secret"

"""Archives that strangers made."""

import io
import os
import zipfile
from pathlib import Path

import pytest

from archestra_gateway.catalog.bundle import NotABundle
from archestra_gateway.catalog.bundle_file import Limits, manifest_of, unpack

SMALL = Limits(files=10, size=100_000)


def archive(path: Path, files: dict[str, bytes], **more: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = more.get("mode", 0o100644) << 16
            made.writestr(entry, content, compress_type=more.get("method", zipfile.ZIP_DEFLATED))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "it.mcpb"


def test_it_is_unpacked_as_it_is(file: Path, tmp_path: Path) -> None:
    archive(file, {"manifest.json": b"{}", "server/run": b"#!/bin/sh\n", "empty/": b""}, mode=0o104755)

    unpack(file, tmp_path / "out")

    assert (tmp_path / "out" / "server" / "run").read_bytes() == b"#!/bin/sh\n"
    assert (tmp_path / "out" / "server" / "run").stat().st_mode & 0o7777 == 0o755, "and without set-user-ID"
    assert (tmp_path / "out" / "empty").is_dir()
    assert manifest_of(file) == {}


@pytest.mark.parametrize(
    ("files", "more"),
    [
        ({"../out": b""}, {}),
        ({"a/../../out": b""}, {}),
        ({"/tmp/out": b""}, {}),
        ({"a\\..\\out": b""}, {}),
        ({"c:out": b""}, {}),
        ({"a\nb": b""}, {}),
        ({"a" * 500: b""}, {}),
        ({"a": b"", "A": b""}, {}),
        ({"a": b"", "a/b": b""}, {}),
        ({"link": b"/etc/passwd"}, {"mode": 0o120777}),
        ({"device": b""}, {"mode": 0o020666}),
        ({str(number): b"" for number in range(11)}, {}),
        ({"zeros": bytes(100_001)}, {}),
        ({"a": bytes(60_000), "b": bytes(60_000)}, {}),
        ({"a": b"x" * 100}, {"method": zipfile.ZIP_LZMA}),
    ],
)
def test_what_could_do_harm_is_refused_whole(
    file: Path, tmp_path: Path, files: dict[str, bytes], more: dict[str, int]
) -> None:
    archive(file, files, **more)
    before = set(tmp_path.rglob("*"))

    with pytest.raises(NotABundle):
        unpack(file, tmp_path / "out", SMALL)

    assert set(tmp_path.rglob("*")) == before


def test_a_file_that_is_larger_than_it_says_is_refused(file: Path, tmp_path: Path) -> None:
    archive(file, {"zeros": bytes(200_000)})
    data = bytearray(file.read_bytes())
    for place in (data.index(b"PK\1\2") + 24, 22):
        data[place : place + 4] = (10).to_bytes(4, "little")
    file.write_bytes(data)

    with pytest.raises(NotABundle):
        unpack(file, tmp_path / "out", SMALL)

    assert not (tmp_path / "out").exists()


def test_a_link_that_is_there_already_is_not_followed(file: Path, tmp_path: Path) -> None:
    archive(file, {"a": b"new"})
    (tmp_path / "out").mkdir()
    os.symlink("/etc/passwd", tmp_path / "out" / "a")

    with pytest.raises(FileExistsError):
        unpack(file, tmp_path / "out")


@pytest.mark.parametrize("broken", [b"", b"PK", b"not a zip", b"PK\3\4" + bytes(100)])
def test_what_is_no_archive_is_told(file: Path, broken: bytes) -> None:
    file.write_bytes(broken)

    with pytest.raises(NotABundle, match="zip archive"):
        manifest_of(file)


@pytest.mark.parametrize("manifest", [b"", b"{", b"\xff", b"[" * 100_000, b" " * (1024 * 1024 + 1)])
def test_a_manifest_that_can_not_be_read_is_told(file: Path, manifest: bytes) -> None:
    archive(file, {"manifest.json": manifest})

    with pytest.raises(NotABundle, match=r"manifest\.json"):
        manifest_of(file)


def test_an_encrypted_one_is_told(file: Path) -> None:
    archive(file, {"manifest.json": b"{}"})
    data = bytearray(file.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    file.write_bytes(data)

    with pytest.raises(NotABundle, match="encrypted"):
        manifest_of(file)


def test_what_is_signed_after_its_end_is_read(file: Path) -> None:
    """A signature of MCPB stands behind the archive, in its comment."""
    archive(file, {"manifest.json": b'{"name": "signed"}'})
    signature = b"MCPB_SIG_V1" + (4).to_bytes(4, "little") + b"sign" + b"MCPB_SIG_END"
    with io.FileIO(file, "a") as end:
        end.write(signature)

    assert manifest_of(file) == {"name": "signed"}

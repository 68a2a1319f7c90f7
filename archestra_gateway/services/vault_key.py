"""Where the key of the vault lies: in the system's keyring, or in a file that only its owner reads."""

import base64
import os
import secrets
from pathlib import Path
from typing import Protocol

import attrs

from archestra_gateway.errors import GatewayError

FILE = "secrets.key"
SERVICE = "archestra-gateway"
IN_KEYRING = "keyring "
KEY_LENGTH = 32
ID_LENGTH = 4


class KeyRefused(GatewayError):
    """The key can not be had; the message says what to do."""


@attrs.frozen
class Keys:
    """Key by its id. The first is the one that seals; those after it only open what they have sealed."""

    by_id: dict[bytes, bytes] = attrs.field(repr=False)

    @property
    def current(self) -> bytes:
        return next(iter(self.by_id))

    def with_new(self) -> "Keys":
        return Keys({secrets.token_bytes(ID_LENGTH): secrets.token_bytes(KEY_LENGTH), **self.by_id})

    def only_current(self) -> "Keys":
        return Keys({self.current: self.by_id[self.current]})

    def text(self) -> str:
        return " ".join(
            f"{identifier.hex()}:{base64.b64encode(key).decode()}" for identifier, key in self.by_id.items()
        )


class Place(Protocol):
    """`name` is what the status shows."""

    @property
    def name(self) -> str: ...

    def write(self, keys: Keys) -> None: ...


@attrs.frozen
class FilePlace:
    path: Path
    name: str = "file"

    def write(self, keys: Keys) -> None:
        _write(self.path, keys.text())


@attrs.frozen
class KeyringPlace:
    """The file says under which name; without it nobody could tell a lost key from a first start."""

    path: Path
    user: str
    name: str = "keyring"

    def write(self, keys: Keys) -> None:
        import keyring

        keyring.set_password(SERVICE, self.user, keys.text())
        if keyring.get_password(SERVICE, self.user) != keys.text():
            raise KeyRefused("The system's keyring took the key of the stored secrets and did not keep it")
        _write(self.path, f"{IN_KEYRING}{self.user}")


def load_keys(data_dir: Path, wanted: str) -> tuple[Keys, Place]:
    """The keys, made when there are none; `wanted` is auto, keyring or file. Raises KeyRefused. Blocks."""
    path = data_dir / FILE
    if not path.exists():
        keys = Keys({}).with_new()
        place = choose(data_dir, wanted)
        place.write(keys)
        return keys, place
    path.chmod(0o600)
    text = path.read_text("utf-8").strip()
    if text.startswith(IN_KEYRING):
        user = text.removeprefix(IN_KEYRING)
        return _parsed(_from_keyring(user, path), "The system's keyring"), KeyringPlace(path, user)
    return _parsed(text, str(path)), FilePlace(path)


def choose(data_dir: Path, wanted: str) -> Place:
    """Where a new key goes. Raises KeyRefused when only a keyring is wanted, and there is none."""
    path = data_dir / FILE
    problem = "" if wanted == "file" else _keyring_problem()
    if wanted == "keyring" and problem:
        raise KeyRefused(f'{problem} Or set security.secrets_key to "file".')
    if wanted == "file" or problem:
        return FilePlace(path)
    return KeyringPlace(path, secrets.token_hex(8))


def _keyring_problem() -> str:
    """Why no keyring can be used; empty when one can."""
    try:
        import keyring
    except ImportError:
        return "The package keyring is not installed: `pip install 'archestra-gateway[keyring]'`."
    try:
        if keyring.get_keyring().priority >= 1:
            return ""
    except Exception as error:  # backends raise whatever their library raises
        return f"The system's keyring can not be used: {error}."
    return "The system has no keyring that can be used."


def _from_keyring(user: str, path: Path) -> str:
    try:
        import keyring

        found = keyring.get_password(SERVICE, user)
    except Exception as error:  # backends raise whatever their library raises
        raise KeyRefused(
            f"The key of the stored secrets lies in the system's keyring, which does not give it: {error}."
            f" Unlock or install it, or delete {path} to start without the stored secrets."
        ) from error
    if found is None:
        raise KeyRefused(
            f"The key of the stored secrets is not in the system's keyring any more. Delete {path} to start "
            "without the stored secrets."
        )
    return str(found)


def _parsed(text: str, where: str) -> Keys:
    try:
        pairs = (word.split(":") for word in text.split())
        by_id = {bytes.fromhex(identifier): base64.b64decode(key) for identifier, key in pairs}
        if not by_id or any(len(key) != KEY_LENGTH for key in by_id.values()):
            raise ValueError("of another length")
    except ValueError as error:
        raise KeyRefused(
            f"{where} holds no key of the stored secrets. Put it back, or delete it to start without them."
        ) from error
    return Keys(by_id)


def _write(path: Path, text: str) -> None:
    """Old or new at every moment, and on the disk before anything is sealed with it."""
    draft = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(descriptor)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

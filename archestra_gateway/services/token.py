"""The bearer token: made once, kept in a file that only its owner reads."""

import hmac
import os
import secrets
from pathlib import Path

from archestra_gateway.services import data_dir as data_directory
from archestra_gateway.services.data_dir import DataDirError

SHORTEST = 32


def load_token(data_dir: Path) -> str:
    """The token, made when there is none. Raises DataDirError."""
    data_directory.prepare(data_dir)
    path = data_dir / "token"
    if not path.exists():
        _write_once(path)
    path.chmod(0o600)
    token = path.read_text("utf-8").strip()
    if len(token) < SHORTEST or not token.isascii():
        raise DataDirError(f"{path} holds no token. Delete it, and the next start makes a new one.")
    return token


def limited_token(token: str) -> str:
    """What `mcp-stdio` and other programs show in its stead: it lets them in, and administer nothing."""
    return hmac.digest(token.encode(), b"mcp-stdio", "sha256").hex()


def rotate_token(data_dir: Path) -> str:
    """A new token in place of the old one; a running daemon knows the old one until it is started again."""
    data_directory.prepare(data_dir)
    os.replace(_draft(data_dir), data_dir / "token")
    return load_token(data_dir)


def _write_once(path: Path) -> None:
    """Whole or not at all, and the first of two writers wins."""
    draft = _draft(path.parent)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _draft(folder: Path) -> Path:
    path = folder / f".token-{secrets.token_hex(8)}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{secrets.token_urlsafe(32)}\n")
    return path

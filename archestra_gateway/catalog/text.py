"""What strangers wrote, as text that can be shown: short, on one line, without characters that do things."""

import unicodedata
from typing import Any

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def plain(value: Any, most: int = 200) -> str:
    """Empty for what is no text."""
    if not isinstance(value, str):
        return ""
    shown = "".join(
        " " if unicodedata.category(character) in HIDDEN else character for character in value[: 4 * most]
    )
    words = " ".join(shown.split())
    return words if len(words) <= most else f"{words[: most - 1].rstrip()}…"


def objects(value: Any, most: int = 64) -> list[dict[str, Any]]:
    """The objects of a list; nothing where there is none."""
    return [each for each in value[:most] if isinstance(each, dict)] if isinstance(value, list) else []


def web_address(value: Any) -> str | None:
    """An https address that a page may link to."""
    text = value if isinstance(value, str) else ""
    is_fit = text.startswith("https://") and text.isascii() and text.isprintable() and len(text) <= 500
    return text if is_fit and not set(text) & set(" \"'<>\\`") else None


def slug(text: str, otherwise: str = "server") -> str:
    """A name as ours: letters, digits, `_` and `-`, at most 64 of them."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "-" for c in text)
    return "-".join(filter(None, kept.split("-")))[:64].strip("-") or otherwise

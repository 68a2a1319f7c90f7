"""One name for a tool of many servers, `server__tool`, as models and MCP clients accept it. Pure."""

import re
from hashlib import sha256

SEPARATOR = "__"
LONGEST = 64

LEGAL = re.compile(r"[a-zA-Z0-9_-]{1,64}")

_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]")
_DIGEST = re.compile(r"_[0-9a-f]{10}$")


def qualified(server: str, tool: str) -> str:
    """Within `^[a-zA-Z0-9_-]{1,64}$`, and always the same, whatever other tools there are.

    Where the plain `server__tool` would not be legal, or could mean another pair too, it is cut and ends in a
    digest of the pair. No plain name ends like that.
    """
    plain = f"{server}{SEPARATOR}{tool}"
    legal = _ILLEGAL.sub("_", plain)
    is_clear = SEPARATOR not in server and not server.endswith("_") and not _DIGEST.search(plain)
    if legal == plain and is_clear and tool and len(plain) <= LONGEST:
        return plain
    digest = "_" + sha256(f"{server}\0{tool}".encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return legal[: LONGEST - len(digest)] + digest

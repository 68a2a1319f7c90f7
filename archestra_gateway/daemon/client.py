"""How a command asks a daemon about itself, over HTTP and without aiohttp."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 2.0


def status(address: str, token: str = "") -> dict[str, Any] | None:
    """The answer of `GET /api/status` at this URL; None when no gateway answers there."""
    answer = ask("GET", f"{address}/api/status", token)
    return answer if answer is not None and "version" in answer else None


def ask(method: str, address: str, token: str, timeout: float = TIMEOUT) -> dict[str, Any] | None:
    """The object that is answered at this URL; None when there is none."""
    url = urlsplit(address)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=timeout)
    headers = {"Host": "localhost"}  # the one name that every gateway answers to, whatever it listens on
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request(method, url.path, headers=headers)
        answer = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return answer if isinstance(answer, dict) else None

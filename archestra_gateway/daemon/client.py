"""How a command asks a daemon about itself, over HTTP and without aiohttp."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 2.0


def status(address: str, token: str = "") -> dict[str, Any] | None:
    """The answer of `GET /api/status` at this URL; None when no gateway answers there."""
    url = urlsplit(address)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=TIMEOUT)
    headers = {"Host": "localhost"}  # the one name that every gateway answers to, whatever it listens on
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request("GET", "/api/status", headers=headers)
        answer = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return answer if isinstance(answer, dict) and "version" in answer else None

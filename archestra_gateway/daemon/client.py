"""How a command asks a daemon, over HTTP and without aiohttp."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import attrs

TIMEOUT = 2.0


@attrs.frozen
class Answer:
    """`data` is what the JSON says; None where there is no body."""

    status: int
    data: Any

    @property
    def is_error(self) -> bool:
        return self.status >= 400


def ask(
    address: str, method: str, path: str, body: Any = None, *, token: str = "", timeout: float = TIMEOUT
) -> Answer | None:
    """The answer of the gateway at this URL; None when no gateway answers there. Bytes are sent as a file."""
    url = urlsplit(address)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=timeout)
    headers = {"Host": "localhost"}  # the one name that every gateway answers to, whatever it listens on
    if token:
        headers["Authorization"] = f"Bearer {token}"
    is_file = isinstance(body, bytes)
    if body is not None:
        headers["Content-Type"] = "application/octet-stream" if is_file else "application/json"
    try:
        sent = body if is_file or body is None else json.dumps(body)
        connection.request(method, path, sent, headers)
        response = connection.getresponse()
        text = response.read()
        return Answer(response.status, json.loads(text) if text else None)
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def status(address: str, token: str = "") -> dict[str, Any] | None:
    """The answer of `GET /api/status` at this URL; None when no gateway answers there."""
    answer = ask(address, "GET", "/api/status", token=token)
    return answer.data if answer and isinstance(answer.data, dict) and "version" in answer.data else None

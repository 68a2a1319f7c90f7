"""The proxy that this machine must use to get out, in front of which the gate stands for its children."""

import asyncio
import base64
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

import attrs

from archestra_gateway.schemas.permissions import Endpoint

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]

VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy", "HTTP_PROXY")
EXCEPTIONS = ("no_proxy", "NO_PROXY")
DEFAULT_PORT = 3128
LONGEST_HEAD = 16 * 1024


@attrs.frozen
class Forward:
    """`authorization` is the whole header's value; hosts in `exceptions` are reached without the proxy."""

    host: str
    port: int
    authorization: str | None = attrs.field(default=None, repr=False)
    exceptions: str = ""

    @classmethod
    def of(cls, url: str, exceptions: str = "") -> "Forward":
        """Raises ValueError for a kind of proxy that is not known here."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"a proxy must be http://host:port, and not {parts.scheme}://…")
        authorization = None
        if parts.username is not None:
            credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = f"Basic {base64.b64encode(credentials.encode()).decode()}"
        return cls(parts.hostname, parts.port or DEFAULT_PORT, authorization, exceptions)

    def is_for(self, host: str) -> bool:
        return not proxy_bypass_environment(host, {"no": self.exceptions})

    async def connect(self, endpoint: Endpoint) -> Connection:
        """Raises OSError."""
        reader, writer = await asyncio.open_connection(self.host, self.port, limit=LONGEST_HEAD)
        try:
            lines = [f"CONNECT {endpoint} HTTP/1.1", f"Host: {endpoint}"]
            lines += [f"Proxy-Authorization: {self.authorization}"] if self.authorization else []
            writer.write("\r\n".join((*lines, "", "")).encode())
            head = await reader.readuntil(b"\r\n\r\n")
            status = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 1)[-1]
            if not status.startswith("2"):
                raise OSError(f"this machine's proxy at {self.host}:{self.port} said: {status}")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            writer.close()
            raise OSError(f"this machine's proxy at {self.host}:{self.port} gave no answer") from error
        except BaseException:
            writer.close()
            raise
        return reader, writer


def forward(environment: Mapping[str, str], otherwise: str | None = None) -> Forward | None:
    """As the usual variables say; `otherwise` where they say nothing. Raises ValueError."""
    url = next((environment[name] for name in VARIABLES if environment.get(name)), otherwise)
    exceptions = next((environment[name] for name in EXCEPTIONS if environment.get(name)), "")
    return Forward.of(url, exceptions) if url else None

"""A server of the Python SDK that takes the tokens of one issuer: protected_server.py PORT ISSUER."""

import asyncio
import json
import sys
import urllib.request
from typing import Any
from urllib.parse import quote

from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer

PORT, ISSUER = int(sys.argv[1]), sys.argv[2]
RESOURCE = f"http://127.0.0.1:{PORT}/mcp"


def ask(token: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{ISSUER}/test/token?value={quote(token)}") as answer:
        known: dict[str, Any] = json.load(answer)
        return known


class Introspection:
    async def verify_token(self, token: str) -> AccessToken | None:
        known = await asyncio.to_thread(ask, token)
        if not known:
            return None
        return AccessToken(
            token=token,
            client_id=known["client_id"],
            scopes=(known["scope"] or "").split(),
            expires_at=known["exp"],
            resource=known["aud"],
        )


server = MCPServer(
    "protected",
    token_verifier=Introspection(),
    log_level="ERROR",
    auth=AuthSettings(
        issuer_url=ISSUER,
        resource_server_url=RESOURCE,
        required_scopes=["read"],
        validate_token_resource=True,
    ),
)


@server.tool()
def double(number: int) -> int:
    """Twice the number."""
    return number * 2


server.run("streamable-http", host="127.0.0.1", port=PORT)

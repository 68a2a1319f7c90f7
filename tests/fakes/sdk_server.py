"""A server of the Python SDK, of both eras, over stdio, or with --http on the port that follows."""

import sys
from typing import Annotated

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from pydantic import BaseModel

server = MCPServer("sdk")


class Name(BaseModel):
    name: str


def ask() -> Elicit[Name]:
    return Elicit("Who?", Name)


@server.tool()
def echo(text: str) -> str:
    return text


@server.tool()
def ask_name(answer: Annotated[Name, Resolve(ask)]) -> str:
    return f"Hello {answer.name}"


if __name__ == "__main__":
    if "--http" in sys.argv:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[-1]))
    else:
        server.run()

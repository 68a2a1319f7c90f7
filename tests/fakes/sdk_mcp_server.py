"""A server of the Python SDK that asks, reports and is polled: sdk_mcp_server.py http|sse PORT."""

import asyncio
import socket
import sys

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.streamable_http import EventMessage, EventStore
from pydantic import BaseModel


class Name(BaseModel):
    name: str


class Kept(EventStore):
    def __init__(self):
        self.events = []

    async def store_event(self, stream_id, message):
        self.events.append((stream_id, message))
        return str(len(self.events))

    async def replay_events_after(self, last_event_id, send_callback):
        stream_id = self.events[int(last_event_id) - 1][0]
        for number, (of, message) in enumerate(self.events[int(last_event_id) :], int(last_event_id) + 1):
            if of == stream_id and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream_id


server = MCPServer("sdk", log_level="ERROR")


@server.tool()
async def greet(context: Context) -> str:
    """Asks who is there."""
    asked = await context.elicit("Who are you?", Name)
    return f"Hello, {asked.data.name}"


@server.tool()
async def report(context: Context) -> str:
    for step in range(3):
        await context.report_progress(step, 3)
    return "reported"


@server.tool()
async def change(context: Context) -> str:
    await context.session.send_tool_list_changed()
    return "changed"


@server.tool()
async def roots(context: Context) -> str:
    return str((await context.session.list_roots()).roots)


@server.tool()
async def poll(context: Context) -> str:
    """Ends the stream of its own call, and goes on."""
    await context.request_context.close_sse_stream()
    await asyncio.sleep(0.1)
    return "polled"


async def main():
    listening = socket.create_server(("127.0.0.1", int(sys.argv[2])))
    is_old = sys.argv[1] == "sse"
    app = server.sse_app() if is_old else server.streamable_http_app(event_store=Kept(), retry_interval=200)
    print(listening.getsockname()[1], flush=True)
    await uvicorn.Server(uvicorn.Config(app, log_level="error")).serve([listening])


asyncio.run(main())

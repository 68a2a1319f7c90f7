"""A fast MCP child, and the load that benchmarks put on it, over HTTP or on its pipes."""

import asyncio
import json
import re
import statistics
import sys
import time
from http.client import HTTPConnection
from typing import Any

import attrs

CHILD = """
import re, sys
identifier = re.compile(rb'"id": ?("[^"]*"|[0-9]+)')
size = re.compile(rb'"size": ?([0-9]+)')
known = {
    b'"initialize"': b'{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},'
    b'"serverInfo":{"name":"fast","version":"1"}}',
    b'"tools/list"': b'{"tools":[{"name":"echo","inputSchema":{"type":"object"}}]}',
}
for line in iter(sys.stdin.buffer.readline, b""):
    number = identifier.search(line)
    if number is None:
        continue
    if b'"tools/call"' in line:
        text = b"x" * int(size.search(line)[1]) or b"hello"
        result = b'"result":{"content":[{"type":"text","text":"%b"}]}' % text
    else:
        method = re.search(rb'"method": ?("[^"]*")', line)[1]
        found = known.get(method)
        result = b'"result":%b' % found if found else b'"error":{"code":-32601,"message":"Method not found"}'
    sys.stdout.buffer.write(b'{"jsonrpc":"2.0","id":%b,%b}\\n' % (number[1], result))
    sys.stdout.buffer.flush()
"""
COMMAND = (sys.executable, "-c", CHILD)
BOTH = "application/json, text/event-stream"


@attrs.frozen
class Place:
    """Where an MCP endpoint is; with a session, calls are made in it."""

    port: int
    path: str
    session_id: str = ""

    def headers(self) -> dict[str, str]:
        session = {"Mcp-Session-Id": self.session_id} if self.session_id else {}
        return {"Content-Type": "application/json", "Accept": BOTH, **session}


def open_session(place: Place) -> Place:
    """The same place in a session of its own."""
    info = {"name": "benchmark", "version": "1"}
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info}
    connection = HTTPConnection("127.0.0.1", place.port, timeout=30)
    request = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
    connection.request("POST", place.path, json.dumps(request), place.headers())
    answer = connection.getresponse()
    answer.read()
    opened = attrs.evolve(place, session_id=answer.headers["Mcp-Session-Id"])
    initialized = json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"})
    connection.request("POST", place.path, initialized, opened.headers())
    connection.getresponse().read()
    connection.close()
    return opened


def call(number: int, size: int) -> bytes:
    params = {"name": "echo", "arguments": {"size": size}}
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}).encode()


class Caller(asyncio.Protocol):
    """One keep-alive connection that calls again as soon as it is answered, with an id that no other has."""

    def __init__(self, place: Place, number: int, size: int, ends_at: float, latencies: list[float]) -> None:
        body = call(number, size)
        headers = {"Host": f"localhost:{place.port}", **place.headers(), "Content-Length": str(len(body))}
        lines = [f"POST {place.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        self.request = "\r\n".join([*lines, "", ""]).encode() + body
        self.wanted = b"x" * size or b"hello"
        self.ends_at = ends_at
        self.latencies = latencies
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.call()

    def call(self) -> None:
        self.began = time.perf_counter()
        self.pieces: list[bytes] = []
        self.missing: int | None = 0
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if not self.pieces:
            head, _, body = data.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), data
            length = re.search(rb"content-length: (\d+)", head.lower())
            self.missing = int(length[1]) - len(body) if length else None
        elif self.missing is not None:
            self.missing -= len(data)
        self.pieces.append(data)
        if self.missing == 0 or (self.missing is None and self.ends_in_chunks()):
            self.answered()

    def ends_in_chunks(self) -> bool:
        return b"".join(self.pieces[-2:]).endswith(b"\r\n0\r\n\r\n")

    def answered(self) -> None:
        now = time.perf_counter()
        if not self.latencies:
            assert self.wanted[:1000] in b"".join(self.pieces), self.pieces
        self.latencies.append(now - self.began)
        if now < self.ends_at:
            self.call()
        elif not self.done.done():
            self.transport.close()
            self.done.set_result(None)


async def load_http(place: Place, size: int, in_flight: int, seconds: float) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    ends_at = time.perf_counter() + seconds
    callers = [Caller(place, number, size, ends_at, latencies) for number in range(1, in_flight + 1)]
    for caller in callers:
        await loop.create_connection(lambda caller=caller: caller, "127.0.0.1", place.port)
    await asyncio.gather(*(caller.done for caller in callers))
    return summary(latencies, seconds)


async def load_stdio(size: int, in_flight: int, seconds: float) -> dict[str, float]:
    """The child's own speed: `in_flight` lines always on their way."""
    child = await asyncio.create_subprocess_exec(*COMMAND, stdin=-1, stdout=-1, limit=16 * 1024 * 1024)
    assert child.stdin is not None
    assert child.stdout is not None
    latencies: list[float] = []
    ends_at = time.perf_counter() + seconds
    line = call(1, size) + b"\n"
    child.stdin.write(line * in_flight)
    while (began := time.perf_counter()) < ends_at:
        await child.stdout.readline()
        child.stdin.write(line)
        latencies.append(time.perf_counter() - began)
    child.kill()
    await child.wait()
    return summary(latencies, seconds)


def summary(latencies: list[float], seconds: float) -> dict[str, float]:
    return {"calls_per_second": len(latencies) / seconds, "p50_ms": statistics.median(latencies) * 1000}

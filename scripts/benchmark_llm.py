"""The LLM relay against a direct call and against bare aiohttp proxies, in one run; prints ratios.

    python scripts/benchmark_llm.py [--seconds 3] [--streams 1000]

Upstream, relay, baseline and load generator are processes of their own. Load generator and upstream speak raw
HTTP over `asyncio.Protocol`, so that neither is what is measured.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import uvloop
from aiohttp import ClientSession, TCPConnector, web

ANSWER = json.dumps(
    {"model": "fake", "message": {"role": "assistant", "content": "Hello"}, "done": True}
).encode()
SHORT = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(ANSWER),
    ANSWER,
)
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
QUESTION = json.dumps({"model": "fake", "messages": [{"role": "user", "content": "Hi " * 20}]}).encode()
DROPPED = {"connection", "keep-alive", "transfer-encoding", "host"}


class Upstream(asyncio.Protocol):
    """`/short` answers at once; `/stream/COUNT/SECONDS` sends chunks that say when they were sent."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + size:
                return
            self.buffer = self.buffer[end + 4 + size :]
            self.answer(head.split(b" ", 2)[1].decode())

    def answer(self, path: str) -> None:
        parts = path.split("/")
        if "stream" not in parts:
            self.transport.write(SHORT)
            return
        count, seconds = int(parts[-2]), float(parts[-1])
        self.transport.write(STREAM)
        asyncio.get_running_loop().call_later(seconds, self.chunk, count, seconds)

    def chunk(self, left: int, seconds: float) -> None:
        if self.transport.is_closing():
            return
        if left == 0:
            self.transport.write(b"0\r\n\r\n")
            return
        line = b'{"sent":%.6f}%b\n' % (time.perf_counter(), b" " * 80)
        self.transport.write(b"%x\r\n%b\r\n" % (len(line), line))
        asyncio.get_running_loop().call_later(seconds, self.chunk, left - 1, seconds)


class Client(asyncio.Protocol):
    """Sends one request after another, or reads one stream; `stats` collects."""

    def __init__(self, path: str, stats: dict[str, Any], ended: Callable[[], bool]) -> None:
        self.request = (
            b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"User-Agent: benchmark\r\n"
            b"Accept: */*\r\nAuthorization: Bearer ollama\r\nContent-Length: %d\r\n\r\n%b"
            % (path.encode(), len(QUESTION), QUESTION)
        )
        self.stats, self.ended, self.buffer = stats, ended, b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.send()

    def send(self) -> None:
        self.began = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if b"/stream/" in self.request[:60]:
            at = 0
            while (at := data.find(b'{"sent":', at)) >= 0:
                at += 8
                self.stats["delays"].append(now - float(data[at : data.index(b"}", at)]))
            if data.endswith(b"0\r\n\r\n"):
                self.finish(1)
        else:
            self.buffer += data
            if self.buffer.endswith(ANSWER):
                self.buffer = b""
                self.stats["delays"].append(now - self.began)
                if self.ended():
                    self.finish(1)
                else:
                    self.send()

    def connection_lost(self, error: Exception | None) -> None:
        self.finish(0)

    def finish(self, whole: int) -> None:
        if not self.done.done():
            self.stats["whole"] += whole
            self.done.set_result(None)
            self.transport.close()


async def load(port: int, path: str, clients: int, seconds: float) -> dict[str, Any]:
    """In the load generator's process: figures of one round."""
    stats: dict[str, Any] = {"delays": [], "whole": 0}
    loop = asyncio.get_running_loop()
    end = time.perf_counter() + seconds

    async def one(number: int) -> None:
        await asyncio.sleep(number * 0.0005)
        _, client = await loop.create_connection(
            lambda: Client(path, stats, lambda: time.perf_counter() > end), "127.0.0.1", port
        )
        await client.done

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(clients)))
    elapsed = time.perf_counter() - began
    delays = sorted(stats["delays"]) or [0.0]
    return {
        "per_second": len(delays) / elapsed,
        "count": len(delays),
        "p50_ms": statistics.median(delays) * 1000,
        "p99_ms": delays[int(len(delays) * 0.99)] * 1000,
        "whole": stats["whole"],
    }


async def baseline(request: web.Request) -> web.StreamResponse:
    """What anyone writes first: aiohttp in front, ClientSession behind, no log, no guard.

    It runs on asyncio's own loop, and once more on uvloop.
    """
    session: ClientSession = request.app["session"]
    headers = {name: value for name, value in request.headers.items() if name.lower() not in DROPPED}
    url = f"http://127.0.0.1:{request.app['upstream']}/{request.match_info['path']}"
    body = request.content if request.body_exists else None
    async with session.request(
        request.method, url, headers=headers, data=body, allow_redirects=False
    ) as upstream:
        answer = web.StreamResponse(status=upstream.status, reason=upstream.reason)
        for name, value in upstream.headers.items():
            if name.lower() not in DROPPED:
                answer.headers.add(name, value)
        await answer.prepare(request)
        async for chunk in upstream.content.iter_any():
            await answer.write(chunk)
        await answer.write_eof()
    return answer


async def open_session(app: web.Application) -> Any:
    app["session"] = ClientSession(connector=TCPConnector(limit=0), auto_decompress=False)
    yield
    await app["session"].close()


def serve_baseline(upstream: int) -> None:
    app = web.Application(client_max_size=1 << 30)
    app["upstream"] = upstream
    app.cleanup_ctx.append(open_session)
    app.router.add_route("*", "/llm/ollama/{path:.*}", baseline)
    asyncio.run(serve(web.AppRunner(app, access_log=None, handler_cancellation=True)))


async def serve(runner: web.BaseRunner) -> None:
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


async def serve_upstream() -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


def role(arguments: list[str]) -> None:
    """One of the child processes."""
    if arguments[0] != "bare":
        uvloop.install()
    if arguments[0] == "upstream":
        asyncio.run(serve_upstream())
    elif arguments[0] in ("bare", "bare-uvloop"):
        serve_baseline(int(arguments[1]))
    else:
        port, path, clients, seconds = arguments[1:]
        print(json.dumps(asyncio.run(load(int(port), path, int(clients), float(seconds)))))


class Process:
    """A child that prints its port, bare or as the daemon does."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.child = subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.PIPE, env={**os.environ, **environment}
        )
        assert self.child.stdout is not None
        said = json.loads(self.child.stdout.readline())
        self.port = said["listening"]["port"] if isinstance(said, dict) else said

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        return int(Path(f"/proc/{self.child.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        self.child.terminate()
        self.child.wait()


def measure(process: Process, path: str, clients: int, seconds: float = 0.0) -> dict[str, Any]:
    """One round of the load generator; CPU and memory of the process it talks to."""
    cpu, peak = process.cpu_seconds(), process.memory()
    before = peak
    generator = subprocess.Popen(
        [sys.executable, __file__, "--role", "load", str(process.port), path, str(clients), str(seconds)],
        stdout=subprocess.PIPE,
    )
    while generator.poll() is None:
        time.sleep(0.05)
        peak = max(peak, process.memory())
    assert generator.stdout is not None
    figures: dict[str, Any] = json.loads(generator.stdout.read())
    figures["cpu_us"] = (process.cpu_seconds() - cpu) / figures["count"] * 1e6
    figures["kib_each"] = (peak - before) / clients / 1024
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", type=int, default=1000)
    options = parser.parse_args()
    upstream = Process(__file__, "--role", "upstream")
    bare = Process(__file__, "--role", "bare", str(upstream.port))
    bare_uvloop = Process(__file__, "--role", "bare-uvloop", str(upstream.port))
    with tempfile.TemporaryDirectory() as folder:
        relay = start_daemon(upstream.port, folder)
        places = {
            "direct": (upstream, ""),
            "relay": (relay, "/llm/ollama"),
            "bare": (bare, "/llm/ollama"),
            "bare-uvloop": (bare_uvloop, "/llm/ollama"),
        }
        try:
            short(places, options.seconds, options.rounds)
            chunks(places)
            many(places, options.streams)
        finally:
            for process in (relay, bare, bare_uvloop, upstream):
                process.stop()


def start_daemon(upstream: int, folder: str) -> Process:
    """The real one, with guard and log as they are by default."""
    arguments = ["-m", "archestra_gateway", "serve", "--port", "0", "--data-dir", f"{folder}/data"]
    return Process(*arguments, ARCHESTRA_LLM_OLLAMA_URL=f"http://127.0.0.1:{upstream}")


Places = dict[str, tuple[Process, str]]


def short(places: Places, seconds: float, rounds: int) -> None:
    """Rounds are interleaved, so that a busy moment of the machine hits everybody."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in places}
    for _ in range(rounds):
        for name, (process, prefix) in places.items():
            found[name].append(measure(process, f"{prefix}/short", 64, seconds))
    print(f"Short answers, 64 in flight, the best of {rounds} rounds")
    best = {name: max(round_["per_second"] for round_ in found[name]) for name in places}
    for name in places:
        cpu = min(round_["cpu_us"] for round_ in found[name])
        p50 = min(round_["p50_ms"] for round_ in found[name])
        print(
            f"  {name:11} {best[name]:8.0f}/s  p50 {p50:6.2f} ms  CPU {cpu:5.0f} µs  "
            f"{best[name] / best['direct']:.2f} of direct"
        )
    for name in ("bare", "bare-uvloop"):
        print(f"  relay / {name}: {best['relay'] / best[name]:.2f}")


def chunks(places: Places) -> None:
    print("100 streams of 10 ms chunks")
    found = {
        name: measure(process, f"{prefix}/stream/200/0.01", 100) for name, (process, prefix) in places.items()
    }
    for name, figures in found.items():
        added = figures["p50_ms"] - found["direct"]["p50_ms"]
        print(
            f"  {name:11} p50 {figures['p50_ms']:6.2f} ms  p99 {figures['p99_ms']:6.2f} ms  "
            f"added p50 {added:5.2f} ms  CPU {figures['cpu_us']:4.0f} µs a chunk"
        )


def many(places: Places, streams: int) -> None:
    print(f"{streams} streams of 100 ms chunks")
    for name, (process, prefix) in places.items():
        figures = measure(process, f"{prefix}/stream/50/0.1", streams)
        print(
            f"  {name:11} {figures['whole']}/{streams} whole  p50 {figures['p50_ms']:6.2f} ms  "
            f"p99 {figures['p99_ms']:6.2f} ms  {figures['kib_each']:5.1f} KiB each"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--role"]:
        role(sys.argv[2:])
    else:
        main()

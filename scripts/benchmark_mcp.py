"""`tools/call` through /mcp_proxy with the request log on, with it off, and over bare stdio; prints ratios.

    python scripts/benchmark_mcp.py [--seconds 3] [--rounds 3] [--in-flight 64] [--size 0]

Both gateways (log on, log off), the server and the load generator are processes; rounds alternate.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import uvloop

SERVER = """
import re, sys
size = int(sys.argv[1])
text = b"x" * size or b"hello"
for line in iter(sys.stdin.buffer.readline, b""):
    number = re.search(rb'"id":(\\d+)', line)
    if number is None:
        continue
    if b'"initialize"' in line:
        result = b'{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"fast"}}'
    else:
        result = b'{"content":[{"type":"text","text":"%b"}]}' % text
    sys.stdout.buffer.write(b'{"jsonrpc":"2.0","id":%b,"result":%b}\\n' % (number[1], result))
    sys.stdout.buffer.flush()
"""
PARAMS = {"name": "echo", "arguments": {"text": "hello"}}
CALL = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": PARAMS}).encode()


class Caller(asyncio.Protocol):
    """One keep-alive connection that calls again as soon as it is answered."""

    def __init__(self, port: int, ends_at: float, latencies: list[float]) -> None:
        head = (
            f"POST /mcp_proxy/fast HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\n"
        )
        self.request = f"{head}Content-Length: {len(CALL)}\r\n\r\n".encode() + CALL
        self.ends_at = ends_at
        self.latencies = latencies
        self.done = asyncio.get_running_loop().create_future()
        self.missing = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.call()

    def call(self) -> None:
        self.began = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if not self.missing:
            head, _, data = data.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head + data
            self.missing = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        self.missing -= len(data)
        if self.missing:
            return
        now = time.perf_counter()
        self.latencies.append(now - self.began)
        if now < self.ends_at:
            self.call()
        elif not self.done.done():
            self.transport.close()
            self.done.set_result(None)


async def load_http(port: int, in_flight: int, seconds: float) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    ends_at = time.perf_counter() + seconds
    callers = [Caller(port, ends_at, latencies) for _ in range(in_flight)]
    for caller in callers:
        await loop.create_connection(lambda caller=caller: caller, "127.0.0.1", port)
    await asyncio.gather(*(caller.done for caller in callers))
    return summary(latencies, seconds)


async def load_stdio(size: int, in_flight: int, seconds: float) -> dict[str, float]:
    """The server's own speed: `in_flight` lines always on their way."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(size), stdin=-1, stdout=-1, limit=16 * 1024 * 1024
    )
    assert child.stdin is not None
    assert child.stdout is not None
    latencies: list[float] = []
    ends_at = time.perf_counter() + seconds
    child.stdin.write((CALL.replace(b'"id": 1', b'"id":1') + b"\n") * in_flight)
    while (began := time.perf_counter()) < ends_at:
        await child.stdout.readline()
        child.stdin.write(CALL.replace(b'"id": 1', b'"id":1') + b"\n")
        latencies.append(time.perf_counter() - began)
    child.kill()
    await child.wait()
    return summary(latencies, seconds)


def summary(latencies: list[float], seconds: float) -> dict[str, float]:
    return {"calls_per_second": len(latencies) / seconds, "p50_ms": statistics.median(latencies) * 1000}


class Gateway:
    """A daemon with the fast server installed."""

    def __init__(self, folder: Path, size: int, *, with_log: bool) -> None:
        folder.mkdir()
        (folder / "config.toml").write_text(f"[request_log]\nenabled = {str(with_log).lower()}\n")
        command = [sys.executable, "-m", "archestra_gateway", "serve", "--port", "0"]
        command += ["--config", str(folder / "config.toml"), "--data-dir", str(folder / "data")]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.port = int(json.loads(self.process.stdout.readline())["listening"]["port"])
        config = {"transport": "stdio", "command": sys.executable, "args": ["-c", SERVER, str(size)]}
        body = json.dumps({"name": "fast", "server_config": config}).encode()
        url = f"http://127.0.0.1:{self.port}/api/mcp_server"
        urlopen(Request(url, body, {"Content-Type": "application/json"})).read()

    def measure(self, in_flight: int, seconds: float) -> dict[str, float]:
        return measure(
            __file__, "--load", str(self.port), "--in-flight", str(in_flight), "--seconds", str(seconds)
        )

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def measure(*arguments: str) -> dict[str, float]:
    output = subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.PIPE).stdout
    return dict(json.loads(output))


def main() -> None:
    options = arguments()
    if options.load is not None:
        print(json.dumps(uvloop.run(load_http(options.load, options.in_flight, options.seconds))))
        return
    with tempfile.TemporaryDirectory() as folder:
        gateways = {
            "log on": Gateway(Path(folder, "on"), options.size, with_log=True),
            "log off": Gateway(Path(folder, "off"), options.size, with_log=False),
        }
        try:
            compare(gateways, options)
        finally:
            for gateway in gateways.values():
                gateway.stop()


def compare(gateways: dict[str, Gateway], options: argparse.Namespace) -> None:
    rates: dict[str, list[float]] = {"stdio": [], **{name: [] for name in gateways}}
    for gateway in gateways.values():
        gateway.measure(options.in_flight, 0.5)
    for _ in range(options.rounds):
        direct = uvloop.run(load_stdio(options.size, options.in_flight, options.seconds))
        rates["stdio"].append(direct["calls_per_second"])
        for name, gateway in gateways.items():
            rates[name].append(gateway.measure(options.in_flight, options.seconds)["calls_per_second"])
    alone = {name: gateway.measure(1, options.seconds) for name, gateway in gateways.items()}
    median = {name: statistics.median(values) for name, values in rates.items()}
    for name, rate in median.items():
        print(f"{name:8} {rate:10,.0f} calls/s at {options.in_flight} in flight")
    for name, result in alone.items():
        print(f"{name:8} {result['p50_ms']:10.3f} ms p50 at 1 in flight")
    print(f"log on / log off   {median['log on'] / median['log off']:.2f}   (wanted: at least 0.80)")
    print(f"log on / stdio     {median['log on'] / median['stdio']:.2f}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--size", type=int, default=0, help="bytes of a result's text; 0 for a short one")
    parser.add_argument("--load", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()

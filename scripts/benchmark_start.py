#!/usr/bin/env python3
"""How soon `serve` and the bridge answer first, what is held when idle, and what the other commands cost.

Prints medians, and beside each time its ratio to `python -c pass` of the same run.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROUNDS = 5
SETTLE = 1.0
FIRST_REQUEST_WANTED = 1.0
MEMORY_WANTED = 80.0
COMMAND_WANTED = 0.5
BRIDGE_WANTED = 0.4
PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n'
GATEWAY = (sys.executable, "-m", "archestra_gateway")
COMMANDS = (("--help",), ("status",), ("stop",), ("token",), ("config", "show"))


def run(*words: str) -> float:
    """Seconds that a program takes."""
    since = time.perf_counter()
    subprocess.run(words, cwd=ROOT, capture_output=True, check=False)
    return time.perf_counter() - since


def serve() -> tuple[float, float]:
    """Seconds until the first answer, and MB of memory a moment later."""
    since = time.perf_counter()
    with subprocess.Popen(
        [*GATEWAY, "serve", "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["listening"]["port"]
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/api/status")
        assert connection.getresponse().status == 200
        first = time.perf_counter() - since
        connection.close()
        time.sleep(SETTLE)
        memory = int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(process.pid)])) / 1024
        process.terminate()
    return first, memory


def bridge() -> float:
    """Seconds until `mcp-stdio` passes a first answer on."""
    since = time.perf_counter()
    with subprocess.Popen(
        [*GATEWAY, "mcp-stdio"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(PING)
        process.stdin.flush()
        assert b"result" in process.stdout.readline()
        first = time.perf_counter() - since
        process.stdin.close()
    return first


def median(measure: Callable[[], float]) -> float:
    measure()  # the first one fills the disk cache and writes the byte code
    return statistics.median(measure() for _ in range(ROUNDS))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(ARCHESTRA_SERVER_DATA_DIR=f"{folder}/data", XDG_CONFIG_HOME=f"{folder}/config")
        bare = median(lambda: run(sys.executable, "-c", "pass"))
        print(f"{'python -c pass':<24}{bare * 1000:>8.0f} ms")
        for words in COMMANDS:
            show(" ".join(words), median(lambda words=words: run(*GATEWAY, *words)), bare, COMMAND_WANTED)
        memories = []

        def first_answer() -> float:
            first, memory = serve()
            memories.append(memory)
            return first

        show("serve, first answer", median(first_answer), bare, FIRST_REQUEST_WANTED)
        with subprocess.Popen(
            [*GATEWAY, "serve", "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as daemon:
            assert daemon.stdout is not None
            daemon.stdout.readline()
            show("mcp-stdio, first answer", median(bridge), bare, BRIDGE_WANTED)
            daemon.terminate()
        memory = statistics.median(memories)
        print(f"{'idle memory':<24}{memory:>8.1f} MB{'':>14}(wanted: below {MEMORY_WANTED:.0f} MB)")


def show(name: str, seconds: float, bare: float, wanted: float) -> None:
    print(f"{name:<24}{seconds * 1000:>8.0f} ms{seconds / bare:>8.1f} x   (wanted: below {wanted:g} s)")


if __name__ == "__main__":
    main()

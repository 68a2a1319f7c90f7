#!/usr/bin/env python3
"""What the agent adds to each token at 50 chats, how soon it says something, and what a chat costs in memory.

The model server writes the time into each token, so that its way is measured and not the model. Rounds of
direct reading and of chats alternate; ratios and differences count, for both are read by the same program.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).parent.parent
CHATS = 50
PACE = 0.05
ROUNDS = 3
FIRST_EVENTS = 100
ADDED_WANTED = 1.0
FIRST_WANTED = 20.0
MEMORY_WANTED = 200.0
GATEWAY = (sys.executable, "-m", "archestra_gateway", "serve", "--port", "0")
MODEL = (sys.executable, str(ROOT / "tests/fakes/scripted_model.py"))


@contextmanager
def program(words: tuple[str, ...], environment: dict[str, str]) -> Iterator[tuple[int, str]]:
    """The process id, and the first line that it says."""
    with subprocess.Popen(
        words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        yield process.pid, process.stdout.readline()
        process.terminate()


def prompt(model: str, chat: str) -> dict[str, Any]:
    asked = {"id": "u", "role": "user", "content": "Hi", "parts": [{"type": "text", "text": "Hi"}]}
    return {"id": chat, "model": model, "messages": [asked], "tools": []}


async def lines(http: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> AsyncIterator[bytes]:
    async with http.post(url, json=body) as answer:
        assert answer.status == 200, await answer.text()
        async for line in answer.content:
            yield line


async def delays(http: aiohttp.ClientSession, url: str, chat: str) -> list[float]:
    """Milliseconds from a token's making to here."""
    found = []
    async for line in lines(http, url, prompt(f"stamps:{PACE}", chat)):
        now = time.monotonic()
        if b'"content": "' in line or b'"text-delta"' in line:
            row = json.loads(line.removeprefix(b"data: "))
            stamp = row.get("delta") or row["message"]["content"]
            if stamp:
                found.append((now - float(stamp)) * 1000)
    return found


async def at_once(http: aiohttp.ClientSession, url: str, name: str) -> list[float]:
    each = await asyncio.gather(*(delays(http, url, f"{name}-{number}") for number in range(CHATS)))
    return [delay for chat in each for delay in chat]


async def first_event(http: aiohttp.ClientSession, url: str, chat: str) -> float:
    since = time.perf_counter()
    told = lines(http, url, prompt("words", chat))
    await anext(told)
    took = (time.perf_counter() - since) * 1000
    async for _ in told:
        pass
    return took


def memory(pid: int) -> float:
    """Kilobytes that belong to the process alone."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(row.split()[1]) for row in rows if row.startswith("Private_"))


async def measure(gateway: str, model: str, pid: int) -> None:
    chat, direct = f"{gateway}/api/agent/chat", f"{model}/api/chat"
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as http:
        firsts = [await first_event(http, chat, f"first-{number}") for number in range(FIRST_EVENTS)]
        show("first event, p50", statistics.median(firsts), "ms", FIRST_WANTED)
        show("first event, p99", statistics.quantiles(firsts, n=100)[98], "ms", FIRST_WANTED)
        added, costs = [], []
        for number in range(ROUNDS):
            alone = statistics.median(await at_once(http, direct, "direct"))
            before = memory(pid)
            running = asyncio.create_task(at_once(http, chat, f"round{number}"))
            await asyncio.sleep(PACE * 150)
            costs.append((memory(pid) - before) / CHATS)
            through = statistics.median(await running)
            added.append(through - alone)
            print(f"  round {number + 1}: direct {alone:.2f} ms, through the agent {through:.2f} ms a token")
        show(f"added to a token at {CHATS} chats, p50", statistics.median(added), "ms", ADDED_WANTED)
        show("memory of a running chat", max(costs), "KB", MEMORY_WANTED)


def show(name: str, value: float, unit: str, wanted: float) -> None:
    print(f"{name:<40}{value:>9.2f} {unit}   (wanted: below {wanted:g} {unit})")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, program(MODEL, dict(os.environ)) as (_, port):
        model = f"http://127.0.0.1:{port.strip()}"
        environment = {
            **os.environ,
            "ARCHESTRA_SERVER_DATA_DIR": f"{folder}/data",
            "XDG_CONFIG_HOME": f"{folder}/config",
            "ARCHESTRA_LLM_OLLAMA_URL": model,
            "ARCHESTRA_AGENT_TITLES": "false",
        }
        with program(GATEWAY, environment) as (pid, line):
            listening = json.loads(line)["listening"]
            asyncio.run(measure(f"http://127.0.0.1:{listening['port']}", model, pid))


if __name__ == "__main__":
    main()

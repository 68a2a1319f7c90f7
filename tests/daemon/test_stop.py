"""The first signal is a wish, a later one an order."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

SLOW_TO_STOP = """
import asyncio
from archestra_gateway.daemon.stop import Stop

async def main():
    stop = Stop()
    stop.on_signals()
    print("ready", flush=True)
    await stop.wait(None)
    print("stopping", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def process() -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen([sys.executable, "-c", SLOW_TO_STOP], stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "ready\n"
        yield started
        started.kill()


def test_a_signal_that_is_repeated_later_ends_it_at_once(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    since = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "stopping\n"

    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.05)

    assert process.returncode == 1
    assert time.monotonic() - since > 1, "the same wish sent twice by a wrapper is no order"


def test_a_hangup_is_no_reason_to_end(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGINT)

    assert process.stdout.readline() == "stopping\n"

"""`tools/call` through /mcp_proxy to a fast stdio child, and what others take for the same.

    python scripts/benchmark_mcp.py [--compare] [--seconds 3] [--rounds 3] [--in-flight 64] [--size 0]

Alone it measures what the request log costs. With --compare it runs beside mcp-proxy and FastMCP's proxy,
which it installs into a temporary folder; each is called in one session, as an MCP client does it. Every
proxy, child and load is a process; rounds alternate, and the exit code says whether every target was met.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import attrs
import mcp_load
import mcp_rivals
import uvloop
from mcp_load import Place
from mcp_rivals import Proxy

MEGABYTE = 1_000_000
STREAMS = 100
DIRECT = "directly"
OURS, MCP_PROXY, FASTMCP = "gateway", "mcp-proxy", "FastMCP"
Rounds = dict[str, list[float]]


def main() -> None:
    options = arguments()
    if options.load is not None:
        print(json.dumps(uvloop.run(load(options))))
    elif options.compare:
        sys.exit(compare(options))
    else:
        cost_of_log(options)


async def load(options: argparse.Namespace) -> dict[str, float]:
    """In a process of its own; without a place it is the child alone."""
    if options.load == DIRECT:
        return await mcp_load.load_stdio(options.size, options.in_flight, options.seconds)
    place = Place(**json.loads(options.load))
    return await mcp_load.load_http(place, options.size, options.in_flight, options.seconds)


def measure(place: Place | None, size: int, in_flight: int, seconds: float) -> dict[str, float]:
    where = DIRECT if place is None else json.dumps(attrs.asdict(place))
    numbers = ["--size", str(size), "--in-flight", str(in_flight), "--seconds", str(seconds)]
    command = [sys.executable, __file__, "--load", where, *numbers]
    return dict(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


def cost_of_log(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as ends:
        rates: Rounds = {"stdio": [], "log on": [], "log off": []}
        gateways = {
            name: mcp_rivals.start_gateway(Path(folder, name), with_log=name == "log on")
            for name in ("log on", "log off")
        }
        for gateway in gateways.values():
            ends.callback(gateway.stop)
        for _ in range(options.rounds):
            places = {"stdio": None, **{name: gateway.place for name, gateway in gateways.items()}}
            for name, place in places.items():
                seen = measure(place, options.size, options.in_flight, options.seconds)
                rates[name].append(seen["calls_per_second"])
    for name, values in rates.items():
        print(f"{name:8} {statistics.median(values):10,.0f} calls/s at {options.in_flight} in flight")
    kept = median(rates["log on"]) / median(rates["log off"])
    print(f"log on / log off   {kept:.2f}   (wanted: at least 0.80)")


def compare(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as ends:
        starts = {
            OURS: mcp_rivals.start_gateway,
            MCP_PROXY: mcp_rivals.start_mcp_proxy,
            FASTMCP: mcp_rivals.start_fastmcp,
        }
        proxies: dict[str, Proxy] = {}
        for name, start in starts.items():
            proxies[name] = start(Path(folder, name))
            ends.callback(proxies[name].stop)
        for proxy in proxies.values():
            measure(proxy.place, 0, 8, 1)
        streams = {name: [memory_of_stream(proxy)] for name, proxy in proxies.items()}
        rates, costs, megabytes, latencies = rounds(proxies, options)
        lost = mcp_rivals.lost_rows(proxies[OURS])
    show(f"calls/s at {options.in_flight} in flight", rates, "{:,.0f}")
    show("1 MB results/s at 8 in flight", megabytes, "{:,.0f}")
    show("p50 at 1 in flight, ms", latencies, "{:.3f}")
    show("CPU of the proxy per call, µs", costs, "{:,.0f}")
    show("memory per session with its stream, KB", streams, "{:,.1f}")
    added = median([ours - direct for ours, direct in zip(latencies[OURS], latencies[DIRECT], strict=True)])
    targets = [
        (f"calls/s, times {MCP_PROXY}", ratio(rates, MCP_PROXY), 10, True),
        (f"calls/s, times {FASTMCP}", ratio(rates, FASTMCP), 20, True),
        (f"1 MB results/s, times {MCP_PROXY}", ratio(megabytes, MCP_PROXY), 2, True),
        ("p50 at 1 in flight, ms added", added, 0.5, False),
        ("calls that the request log lost", lost, 1, False),
    ]
    met = [told(*target) for target in targets]
    return 0 if all(met) else 1


def rounds(proxies: dict[str, Proxy], options: argparse.Namespace) -> tuple[Rounds, Rounds, Rounds, Rounds]:
    """Calls a second, CPU of a call, megabytes a second, and latencies, of each round."""
    rates, costs, megabytes = ({name: [] for name in proxies} for _ in range(3))
    latencies: Rounds = {name: [] for name in (DIRECT, *proxies)}
    for _ in range(options.rounds):
        for name, proxy in proxies.items():
            before = proxy.cpu()
            rate = measure(proxy.place, 0, options.in_flight, options.seconds)["calls_per_second"]
            rates[name].append(rate)
            costs[name].append((proxy.cpu() - before) / (rate * options.seconds) * 1e6)
        for name, proxy in proxies.items():
            megabytes[name].append(measure(proxy.place, MEGABYTE, 8, options.seconds)["calls_per_second"])
        latencies[DIRECT].append(measure(None, 0, 1, 1)["p50_ms"])
        for name, proxy in proxies.items():
            latencies[name].append(measure(proxy.place, 0, 1, 1)["p50_ms"])
    return rates, costs, megabytes, latencies


def memory_of_stream(proxy: Proxy) -> float:
    """Kilobytes for each of many sessions that hear what is said unasked."""
    before = proxy.memory()
    streams = [open_stream(mcp_load.open_session(proxy.mcp)) for _ in range(STREAMS)]
    used = (proxy.memory() - before) / STREAMS
    for stream in streams:
        stream.close()
    return used


def open_stream(place: Place) -> HTTPConnection:
    connection = HTTPConnection("127.0.0.1", place.port, timeout=10)
    connection.request("GET", place.path, headers=place.headers())
    assert connection.getresponse().status == 200
    return connection


def median(values: list[float]) -> float:
    return statistics.median(values)


def ratio(found: Rounds, rival: str) -> float:
    """Of the rounds, the middle one: within a round both have the same machine."""
    return median([ours / theirs for ours, theirs in zip(found[OURS], found[rival], strict=True)])


def show(name: str, found: Rounds, form: str) -> None:
    cells = "   ".join(f"{who} {form.format(median(values))}" for who, values in found.items())
    print(f"{name:40}{cells}")


def told(name: str, value: float, wanted: float, at_least: bool) -> bool:
    is_met = value >= wanted if at_least else value < wanted
    bound = f"{'at least' if at_least else 'below'} {wanted:g}"
    print(f"{name:40}{value:8.2f}   (wanted: {bound}) {'met' if is_met else 'MISSED'}")
    return is_met


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--compare", action="store_true", help="run beside mcp-proxy and FastMCP's proxy")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--size", type=int, default=0, help="bytes of a result's text; 0 for a short one")
    parser.add_argument("--load", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()

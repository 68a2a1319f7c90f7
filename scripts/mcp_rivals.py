"""MCP proxies before the same child: this gateway, mcp-proxy and FastMCP, each a process of its own."""

import json
import os
import socket
import subprocess
import sys
import time
import venv
from pathlib import Path
from urllib.request import Request, urlopen

import mcp_load
from mcp_load import Place

FASTMCP = """
import sys
from fastmcp.client.transports import StdioTransport
from fastmcp.server import create_proxy
proxy = create_proxy(StdioTransport(sys.argv[2], sys.argv[3:]))
proxy.run(transport="http", port=int(sys.argv[1]), show_banner=False, log_level="error", json_response=True)
"""
PATIENCE = 60.0


class Proxy:
    """A running one; `mcp` is where a session needs no child of its own."""

    def __init__(self, process: subprocess.Popen[bytes], place: Place, mcp: Place | None = None) -> None:
        self.process = process
        self.place = mcp_load.open_session(place)
        self.mcp = mcp or place

    def cpu(self) -> float:
        """Seconds that the process, without its child, has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Kilobytes that belong to the process alone."""
        rows = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()
        return sum(int(row.split()[1]) for row in rows if row.startswith("Private_"))

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_gateway(folder: Path, *, with_log: bool = True) -> Proxy:
    folder.mkdir()
    (folder / "config.toml").write_text(f"[request_log]\nenabled = {str(with_log).lower()}\n")
    command = [sys.executable, "-m", "archestra_gateway", "serve", "--port", "0"]
    command += ["--config", str(folder / "config.toml"), "--data-dir", str(folder / "data")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    port = int(json.loads(process.stdout.readline())["listening"]["port"])
    program, *arguments = mcp_load.COMMAND
    config = {"transport": "stdio", "command": program, "args": arguments}
    body = json.dumps({"name": "fast", "server_config": config}).encode()
    url = f"http://127.0.0.1:{port}/api/mcp_server"
    urlopen(Request(url, body, {"Content-Type": "application/json"})).read()
    return Proxy(process, Place(port, "/mcp_proxy/fast"), Place(port, "/mcp"))


def lost_rows(gateway: Proxy) -> int:
    """Calls that its request log has no row of."""
    with urlopen(f"http://127.0.0.1:{gateway.place.port}/api/status") as answer:
        counters = json.load(answer)["sections"]["request_log"]
    return int(counters["overflowed"] + counters["failed"])


def start_mcp_proxy(folder: Path) -> Proxy:
    program = install(folder, "mcp-proxy==0.13.*") / "mcp-proxy"
    port = free_port()
    return serve([str(program), "--port", str(port), "--log-level", "ERROR", "--", *mcp_load.COMMAND], port)


def start_fastmcp(folder: Path) -> Proxy:
    program = install(folder, "fastmcp") / "python"
    port = free_port()
    return serve([str(program), "-c", FASTMCP, str(port), *mcp_load.COMMAND], port)


def install(folder: Path, package: str) -> Path:
    """The programs of a new virtual environment with nothing but `package`."""
    print(f"Installing {package} …", file=sys.stderr)
    venv.create(folder, with_pip=True)
    command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, package], check=True, stderr=subprocess.DEVNULL)
    return folder / "bin"


def serve(command: list[str], port: int) -> Proxy:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ends_at = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < ends_at:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return Proxy(process, Place(port, "/mcp"))
    process.kill()
    raise SystemExit(f"It does not listen: {command[0]}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])

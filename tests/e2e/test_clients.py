"""Other AI programs, connected from the command line: through restarts, somebody else's edits and kills."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
OLD = """{
  // mine
  "mcpServers": {
    "other": {"command": "other-server", "env": {"KEY": "value"}},
  }
}
"""

CONNECT = """
import sys, urllib.request
url = f"http://127.0.0.1:{sys.argv[1]}/api/external_mcp_client/connect"
headers = {"Content-Type": "application/json"}
urllib.request.urlopen(urllib.request.Request(url, b'{"client_name": "cursor"}', headers))
"""


@pytest.fixture
def home(environment: dict[str, str], tmp_path: Path) -> Path:
    """A person's home with Cursor in it."""
    home = tmp_path / "home"
    (home / ".cursor").mkdir(parents=True)
    (home / ".cursor" / "mcp.json").write_text(OLD)
    environment.update(HOME=str(home), SHELL="/bin/false", PATH="/usr/bin:/bin")
    return home


@pytest.fixture
def cursor(home: Path) -> Path:
    return home / ".cursor" / "mcp.json"


def port_in(file: Path) -> int | None:
    found = re.search(r"http://localhost:(\d+)/mcp\"", file.read_text())
    return int(found[1]) if found else None


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def states(run: Any) -> dict[str, str]:
    return {each["name"]: each["state"] for each in json.loads(run("clients", "list", "--json").stdout)}


def test_without_a_daemon_it_says_so(run, home) -> None:
    ended = run("clients", "list")

    assert ended.returncode == 3
    assert "not running" in ended.stderr


def test_from_first_look_to_the_last_undo(start, run, cursor) -> None:
    daemon = start()

    before = run("clients", "list")
    preview = run("clients", "preview", "cursor")
    untouched = cursor.read_text()
    connected = run("clients", "connect", "cursor")
    after = run("clients", "list")
    gone = run("clients", "disconnect", "cursor")

    assert re.search(rf"^cursor +installed +{cursor}$", before.stdout, re.MULTILINE)
    assert f'+      "url": "http://localhost:{daemon.port}/mcp"' in preview.stdout
    assert untouched == OLD
    assert connected.stdout == (
        f"Cursor is connected: archestra in {cursor}.\n"
        "`archestra-gateway clients disconnect cursor` undoes it.\n"
    )
    assert re.search(r"^cursor +connected ", after.stdout, re.MULTILINE)
    assert gone.stdout == f"Cursor is disconnected; {cursor} has nothing of the gateway.\n"
    assert cursor.read_text() == OLD
    assert [each.returncode for each in (before, preview, connected, after, gone)] == [0] * 5


def test_the_file_follows_the_daemon_to_another_port(start, run, cursor) -> None:
    first = start()
    run("clients", "connect", "cursor")
    written = port_in(cursor)
    first.end()

    second = start()
    wait_until(lambda: port_in(cursor) == second.port)
    run("clients", "disconnect", "cursor")

    assert written == first.port != second.port
    assert cursor.read_text() == OLD


def test_a_program_gets_what_the_command_line_says(start, run, cursor) -> None:
    daemon = start()
    cursor.write_text("{}")
    run("clients", "connect", "cursor", "--server", "filesystem-server", "--tool", "*__read_file")
    entry = json.loads(cursor.read_text())["mcpServers"]["archestra"]
    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}

    with daemon.request("/mcp", listing, **entry["headers"]) as answer:
        tools = [tool["name"] for tool in json.loads(answer.read())["result"]["tools"]]

    assert [name for name in tools if "__" in name] == ["filesystem-server__read_file"]


def test_drift_outlives_a_restart_and_is_repaired_on_request(start, run, cursor) -> None:
    port = start().port
    run("clients", "connect", "cursor")
    run("stop")
    cursor.write_text(cursor.read_text().replace(f":{port}/mcp", ":1/elsewhere"))

    start(port=port)
    found, text = states(run)["cursor"], cursor.read_text()
    repaired = run("clients", "connect", "cursor")

    assert (found, ":1/elsewhere" in text) == ("changed", True)
    assert repaired.returncode == 0
    assert port_in(cursor) == port
    run("clients", "disconnect", "cursor")
    assert cursor.read_text() == OLD


def test_backups_and_imports(start, run, cursor) -> None:
    start()
    run("clients", "connect", "cursor")

    listed = run("clients", "import", "cursor")
    imported = run("clients", "import", "cursor", "other", "--replace")
    again = run("clients", "import", "cursor", "other")
    backups = run("clients", "restore", "cursor", "--list").stdout.splitlines()
    oldest = run("clients", "restore", "cursor", "--backup", backups[-1].split()[0])

    assert "other: other-server" in listed.stdout.splitlines()
    assert "archestra: This is the gateway itself" in listed.stdout.splitlines()
    assert imported.stdout == "other: imported as other\n"
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.startswith("archestra-gateway: Cursor has no server named other")
    assert oldest.stdout == f"{cursor} is as it was; Cursor is not connected.\n"
    assert cursor.read_text() == OLD


def test_what_is_wrong_is_one_sentence(start, run, cursor) -> None:
    start()
    cursor.write_text("{ broken")

    broken = run("clients", "connect", "cursor")
    unknown = run("clients", "connect", "unheard-of")
    mistyped = run("clients", "connect", "curser")
    never = run("clients", "disconnect", "zed")
    empty = run("clients", "import", "zed", "--all")
    format_ = run("clients", "connect", "mine", "--path", "~/mine", "--format", "ini")
    backup = run("clients", "restore", "cursor", "--backup", "1")

    wrong = (broken, unknown, mistyped, never, format_, backup)
    assert [each.returncode for each in wrong] == [1] * 6
    assert [each.stderr.count("\n") for each in wrong] == [1] * 6
    assert "The configuration of Cursor is left alone" in broken.stderr
    assert "The gateway knows no client unheard-of: give the `path` and the `format`" in unknown.stderr
    assert "did you mean cursor?" in mistyped.stderr
    assert "There is no external MCP client zed: connect it first." in never.stderr
    assert "`config.format` must be 'json'" in format_.stderr
    assert "There is no backup '1' of this client's file." in backup.stderr
    assert (empty.returncode, empty.stdout) == (0, "There are no servers in the file of zed.\n")
    assert cursor.read_text() == "{ broken"


def test_a_program_of_ones_own_and_servers_that_are_not_there(start, run, home) -> None:
    start()

    connected = run("clients", "connect", "My Client", "--path", "~/own.json", "--format", "json")
    again = run("clients", "connect", "cursor", "--server", "nobody")

    assert "`archestra-gateway clients disconnect 'My Client'` undoes it." in connected.stdout
    assert (home / "own.json").exists()
    assert "Note: There is no MCP server nobody, which it is to get." in again.stdout


@pytest.mark.parametrize("delay", [0.0, 0.004, 0.01, 0.02, 0.05])
def test_a_kill_while_connecting_leaves_nothing_that_can_not_be_undone(start, run, cursor, delay) -> None:
    first = start()
    with subprocess.Popen(
        [sys.executable, "-c", CONNECT, str(first.port)], stderr=subprocess.DEVNULL
    ) as asking:
        wait_until(lambda: asking.poll() is not None or has_begun(cursor))
        time.sleep(delay)
        first.process.kill()
        first.process.wait()
    left = cursor.read_text()

    second = start()
    run("clients", "connect", "cursor")
    whole = cursor.read_text().replace(str(second.port), str(first.port))
    run("clients", "disconnect", "cursor")

    assert left in (OLD, whole)
    assert cursor.read_text() == OLD


def test_a_daemon_with_a_file_of_its_own_is_found_and_started_again_with_it(
    start, run, home, environment, tmp_path
) -> None:
    data = Path(environment.pop("ARCHESTRA_SERVER_DATA_DIR"))
    file = tmp_path / "own settings.toml"
    file.write_text(f'[server]\ndata_dir = "{data}"\nport = 0\n[mcp]\ntool_names = "plain"\n')
    daemon = start("--config", str(file), port=None)
    run("clients", "connect", "junie", "--config", str(file))
    entry = json.loads((home / ".junie" / "mcp" / "mcp.json").read_text())["mcpServers"]["archestra"]
    command = [entry["command"], *entry["args"]]

    found = tools_through(command, environment)
    daemon.end()
    started = tools_through(command, environment)
    stopped = run("stop", "--config", str(file))

    assert found == started
    assert "read_file" in found
    assert stopped.stdout.startswith("Stopped")


def tools_through(command: list[str], environment: dict[str, str]) -> list[str]:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    ended = subprocess.run(
        command,
        input=json.dumps(message) + "\n",
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [tool["name"] for tool in json.loads(ended.stdout.splitlines()[-1])["result"]["tools"]]


def has_begun(cursor: Path) -> bool:
    """A backup is made, or a draft lies beside the file."""
    backups = cursor.parent.parent.parent / "data" / "clients"
    return backups.exists() or len(list(cursor.parent.iterdir())) > 1


def test_claude_codes_own_command_is_used(start, run, home, environment) -> None:
    (home / "bin").mkdir()
    program = shutil.copy(ROOT / "tests" / "fakes" / "claude.py", home / "bin" / "claude")
    program.chmod(0o755)
    environment["PATH"] = f"{home / 'bin'}:{Path(sys.executable).parent}:/usr/bin:/bin"
    start()

    preview = run("clients", "preview", "claude-code")
    connected = run("clients", "connect", "claude-code")

    assert f"This command is run: {program} mcp add --scope user --transport http archestra" in preview.stdout
    assert connected.returncode == 0
    assert json.loads((home / ".claude.json").read_text())["writtenBy"] == "claude"

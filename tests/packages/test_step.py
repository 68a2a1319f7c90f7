"""A package manager's run: what it can touch, how it ends, and what is told of it."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from archestra_gateway.packages.report import InstallFailed, Report
from archestra_gateway.packages.settings import Settings
from archestra_gateway.packages.step import Run, Workshop, summary
from archestra_gateway.schemas.permissions import Endpoint

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")

LOOK = """
import json, os, socket, sys
def attempt(do):
    try:
        return do()
    except OSError as error:
        return f"refused: {error}"
def reach(host, port):
    with socket.create_connection((host, int(port)), 5) as connection:
        return connection.recv(99).decode() or "refused: it was closed"
paths, ports = json.loads(sys.argv[1]), json.loads(sys.argv[2])
print(json.dumps({
    "files": [attempt(lambda: open(path).read()) for path in paths],
    "hosts": [attempt(lambda: reach("127.0.0.1", port)) for port in ports],
    "written": attempt(lambda: open("made", "w").write("x")),
    "env": dict(os.environ), "home": sorted(os.listdir(os.environ["HOME"])),
}))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "servers" / "one" / "packages" / "0001"


def python(code: str, folder: Path, *args: str, settings: Settings | None = None) -> Run:
    return Run((sys.executable, "-I", "-c", code, *args), folder, "one", settings or Settings())


async def greeting() -> tuple[asyncio.Server, int]:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"welcome")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


async def test_it_touches_its_folder_and_its_registries_and_nothing_else(
    workshop: Workshop, report: Report, folder: Path, tmp_path: Path
) -> None:
    token, certificate = tmp_path / "data" / "token", tmp_path / "corporate.pem"
    token.write_text("the-token")
    certificate.write_text("a certificate")
    (registry, port), (other, closed) = await greeting(), await greeting()
    settings = Settings(
        env={"REGISTRY": "ours"},
        files={"npmrc": "a=b\n"},
        shown=(str(certificate),),
        hosts=frozenset({Endpoint("127.0.0.1", port)}),
    )
    paths = [str(token), "/etc/shadow", __file__, str(certificate)]
    run = python(LOOK, folder, json.dumps(paths), json.dumps([port, closed]), settings=settings)

    workshop = attrs.evolve(workshop, environment={**workshop.environment, "DAEMON_SECRET": "s3cret"})
    await workshop.run(run, report)

    registry.close()
    other.close()
    seen: dict[str, Any] = json.loads(report.last_words()[-1])
    assert [text.startswith("refused") for text in seen["files"]] == [True, True, True, False]
    assert seen["hosts"][0] == "welcome"
    assert seen["hosts"][1].startswith("refused")
    assert seen["written"] == 1
    assert (folder / "made").read_text() == "x"
    assert (seen["env"]["REGISTRY"], seen["env"].get("DAEMON_SECRET")) == ("ours", None)
    assert seen["home"] == ["npmrc", "tmp"]


async def test_its_own_last_lines_are_the_error(workshop: Workshop, report: Report, folder: Path) -> None:
    code = "import sys; print('first'); print('error: it is the wrong moon'); print('for that'); sys.exit(3)"

    with pytest.raises(
        InstallFailed, match=r"exit code 3. It last said: it is the wrong moon for that"
    ) as raised:
        await workshop.run(python(code, folder), report)

    assert raised.value.details["lines"] == ["first", "error: it is the wrong moon", "for that"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["one", "two"], "two"),
        (
            ["npm warn x", "npm error code E404", "npm error 404 Not Found - GET https://r.example/x"],
            "E404 404 Not Found - GET https://r.example/x",
        ),
        (["npm error code ECONNRESET", "npm error errno ECONNRESET"], "ECONNRESET"),
        (
            ["Using Python 3.11", "× No solution found:", "╰─▶ Because x was not found and you", "require x"],
            "× No solution found: ╰─▶ Because x was not found and you require x",
        ),
        (["error: " + "a" * 600], "a" * 500 + "…"),
    ],
)
def test_the_last_lines_are_summed_up(words: list[str], said: str) -> None:
    assert summary(words) == said


async def test_a_registry_that_is_not_reached_is_named(
    workshop: Workshop, report: Report, folder: Path
) -> None:
    registry, port = await greeting()
    registry.close()
    await registry.wait_closed()
    settings = Settings(hosts=frozenset({Endpoint("127.0.0.1", port)}))
    code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 9).recv(1); raise SystemExit(1)"

    with pytest.raises(InstallFailed, match=rf"127\.0\.0\.1:{port} can not be reached: .+"):
        await workshop.run(python(code, folder, settings=settings), report)


async def test_what_to_do_about_a_certificate_is_told(
    workshop: Workshop, report: Report, folder: Path
) -> None:
    code = "print('npm error code SELF_SIGNED_CERT_IN_CHAIN'); raise SystemExit(1)"

    with pytest.raises(InstallFailed, match=r"certificate is not trusted: .+ NODE_EXTRA_CA_CERTS"):
        await workshop.run(python(code, folder), report)


async def test_one_that_never_ends_is_ended(workshop: Workshop, report: Report, folder: Path) -> None:
    workshop = attrs.evolve(workshop, timeout=3.0)

    with pytest.raises(InstallFailed, match="not done within 3 seconds"):
        await workshop.run(python("import time; time.sleep(1000)", folder), report)

    assert not alive(folder)


async def test_a_cancelled_one_leaves_no_process(workshop: Workshop, report: Report, folder: Path) -> None:
    code = "import os, time; os.fork(); print('ready', flush=True); time.sleep(1000)"
    task = asyncio.create_task(workshop.run(python(code, folder), report))
    async with asyncio.timeout(60):
        while "ready" not in report.last_words():
            await asyncio.sleep(0.02)
    assert alive(folder)

    task.cancel()
    await asyncio.wait([task])

    assert not alive(folder)


def alive(folder: Path) -> list[str]:
    """The processes that have it for a home."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(folder) in (process / "environ").read_bytes():
                found.append(process.name)
        except OSError:
            continue
    return found

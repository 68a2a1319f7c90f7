"""One confined run of a package manager: a folder that it may write, the registries, and nothing else."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.packages.report import InstallFailed, Report
from archestra_gateway.packages.settings import Settings
from archestra_gateway.sandbox.command import Launch
from archestra_gateway.sandbox.confine import Sandbox, confined
from archestra_gateway.sandbox.egress_forward import Forward, forward
from archestra_gateway.sandbox.egress_gate import DenialList, Gate
from archestra_gateway.sandbox.grants import KEPT_VARIABLES, SYSTEM_PATH, closed, hidden
from archestra_gateway.sandbox.mechanism import Landlock
from archestra_gateway.sandbox.path import SearchPath
from archestra_gateway.sandbox.policy import Mount, Policy, in_order
from archestra_gateway.sandbox.toolchain import resolve
from archestra_gateway.sandbox.user import child_ids, give
from archestra_gateway.sandbox.watch import exceeded
from archestra_gateway.schemas.permissions import GIB, Endpoint, Limits, Permissions
from archestra_gateway.upstreams.watchdog import Watchdog

LIMITS = Limits(memory=4 * GIB, processes=512, open_files=4096, file_size=2 * GIB, disk=8 * GIB)
LAST_BYTES = 5.0
ERROR = re.compile(r"\berror\b|\bERR!|×", re.IGNORECASE)
PREFIX = re.compile(r"npm (error|ERR!)( code| errno)?|error:", re.IGNORECASE)
UNTRUSTED = re.compile(
    r"SELF_SIGNED_CERT|UNABLE_TO_(GET_ISSUER|VERIFY)|CERTIFICATE_VERIFY_FAILED|UnknownIssuer"
)
LONGEST_SUMMARY = 500
WORK = "work"
"""The package manager's home, cache and temporary files, within the folder and gone at the end."""


@attrs.frozen
class Run:
    """`argv` in `folder`, which it may write; `needs` are more files and folders that it may read."""

    argv: tuple[str, ...]
    folder: Path
    owner: str
    settings: Settings = attrs.field(factory=Settings)
    env: Mapping[str, str] = attrs.field(factory=dict)
    needs: Sequence[str] = ()


@attrs.frozen
class Workshop:
    """Where the runs are made.

    `search_for` is for one command, and waits less; `more_hosts` are allowed beside the registries'.
    """

    sandbox: Sandbox
    search: Callable[[], Awaitable[SearchPath]]
    search_for: Callable[[str], Awaitable[SearchPath]]
    environment: Mapping[str, str] = attrs.field(repr=False)
    watchdog: Watchdog
    more_hosts: frozenset[Endpoint]
    timeout: float

    async def can_confine(self) -> bool:
        """With a way out through the gate, which Landlock has not."""
        found = await self.sandbox.found(await self.search())
        return found.mechanism is not None and not isinstance(found.mechanism, Landlock)

    @property
    def home(self) -> Path:
        """The person's."""
        return Path(self.environment.get("HOME") or Path.home())

    async def run(self, run: Run, report: Report) -> None:
        """Raises InstallFailed, or UpstreamUnavailable where nothing can confine it."""
        search = await self.search()
        denials = DenialList(run.owner)
        launch = await self._launch(run, search, denials)
        try:
            async with asyncio.timeout(self.timeout):
                why = await self._see_through(launch, report)
        except TimeoutError:
            why = f"it was not done within {self.timeout:g} seconds (`install.timeout`)"
        if why is not None:
            raise failure(os.path.basename(run.argv[0]), why, report.last_words(), denials)

    async def _launch(self, run: Run, search: SearchPath, denials: DenialList) -> Launch:
        found = await self.sandbox.found(search)
        if found.mechanism is None:
            raise UpstreamUnavailable(found.refusal)
        policy = await asyncio.to_thread(self._policy, run, search)
        endpoints = run.settings.hosts | self.more_hosts
        granted = Permissions(hosts=sorted(map(str, endpoints)))
        gate = Gate(
            granted, denials, self.sandbox.gateway_port, trusts_names=True, forward=self._forward(run)
        )
        return await confined(found.mechanism, policy, gate, {})

    def _forward(self, run: Run) -> Forward | None:
        try:
            return forward(self.environment, run.settings.proxy)
        except ValueError as error:
            raise UpstreamUnavailable(f"This machine's proxy can not be used: {error}") from error

    def _policy(self, run: Run, search: SearchPath) -> Policy:
        """Blocking: looks at the disk."""
        uid, gid = child_ids(run.owner)
        folder = str(run.folder)
        program = resolve(run.argv[0], run.argv[1:], folder, search, self.home)
        shown = dict.fromkeys((*program.needs, *run.needs, *run.settings.shown))
        mounts = [*map(Mount.same, shown), Mount.same(folder, is_writable=True)]
        work = self._make_work(run, uid, gid)
        data_dir = os.path.realpath(self.sandbox.place.data_dir)
        return Policy(
            command=(program.path, *run.argv[1:]),
            env={
                **{name: self.environment[name] for name in KEPT_VARIABLES if name in self.environment},
                "HOME": str(work),
                "TMPDIR": str(work / "tmp"),
                "PATH": os.pathsep.join(dict.fromkeys((*program.folders, *SYSTEM_PATH))),
                **run.settings.env,
                **run.env,
            },
            home=folder,
            cwd=folder,
            uid=uid,
            gid=gid,
            mounts=in_order(mounts),
            hidden=tuple(dict.fromkeys((*hidden(mounts, data_dir, uid), *closed(mounts, uid)))),
            limits=LIMITS,
            reaches_out=True,
        )

    def _make_work(self, run: Run, uid: int, gid: int) -> Path:
        work = run.folder / WORK
        for folder in (run.folder, work, work / "tmp"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            give(str(folder), uid, gid)
        for name, text in run.settings.files.items():
            with open(os.open(work / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(text)
            give(str(work / name), uid, gid)
        return work

    async def _see_through(self, launch: Launch, report: Report) -> str | None:
        """None when it ended well; whatever happens, nothing of it lives on."""
        try:
            process = await asyncio.create_subprocess_exec(
                *launch.argv,
                env=launch.env,
                cwd=launch.cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=launch.descriptors,
                start_new_session=True,
            )
        except OSError as error:
            launch.close()
            return str(error)
        finally:
            launch.close_descriptors()
        self.watchdog.guard(process.pid)
        try:
            if launch.egress is not None:
                launch.egress.begin()
            return await _watched(process, launch, report)
        finally:
            await asyncio.shield(asyncio.create_task(self._end(process, launch)))

    async def _end(self, process: asyncio.subprocess.Process, launch: Launch) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(TimeoutError):  # the last of its processes holds the pipe
            async with asyncio.timeout(LAST_BYTES):
                await process.communicate()
        self.watchdog.release(process.pid)
        launch.close()


async def _watched(process: asyncio.subprocess.Process, launch: Launch, report: Report) -> str | None:
    reading = asyncio.create_task(_read(process, report))
    tasks: set[asyncio.Task[str | None]] = {reading}
    if launch.bounds is not None:
        tasks.add(asyncio.create_task(exceeded(process.pid, launch.bounds)))
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return (reading if reading in done else done.pop()).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(process: asyncio.subprocess.Process, report: Report) -> str | None:
    assert process.stdout is not None  # noqa: S101
    while data := await process.stdout.read(64 * 1024):
        report.feed(data)
    report.feed(b"\n")
    code = await process.wait()
    return f"it ended with exit code {code}" if code else None


def summary(words: list[str]) -> str:
    """The package manager's last lines as one, from the first that is about an error."""
    begin = next((index for index, line in enumerate(words) if ERROR.search(line)), len(words) - 1)
    said = dict.fromkeys(PREFIX.sub("", line).strip() for line in words[begin:])
    text = " ".join(said).strip()
    return text if len(text) <= LONGEST_SUMMARY else f"{text[:LONGEST_SUMMARY]}…"


def failure(program: str, why: str, words: list[str], denials: DenialList) -> InstallFailed:
    said = f"It last said: {summary(words)}" if words else ""
    refused = [denial.endpoint for denial in denials.shown()]
    sentences = filter(None, (f"{program}: {why}", said, *_hints(words, refused, denials.unreached)))
    return InstallFailed(
        f"The packages could not be installed: {'. '.join(sentences)}", lines=words, refused=refused
    )


def _hints(words: list[str], refused: list[str], unreached: str) -> Iterator[str]:
    if refused:
        yield (
            f"It wanted to reach {', '.join(refused)}, which is not among the registry's hosts: "
            "add what you trust to `install.hosts`"
        )
    if unreached:
        yield unreached
    if any(map(UNTRUSTED.search, words)):
        yield (
            "The registry's certificate is not trusted: name the file of who issued it, in the gateway's "
            "environment, by NODE_EXTRA_CA_CERTS (for npm) or SSL_CERT_FILE (for Python)"
        )

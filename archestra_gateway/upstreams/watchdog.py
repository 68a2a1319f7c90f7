"""One tiny process that outlives the daemon by a moment and ends the children of a daemon that was killed."""

import contextlib
import os
import subprocess

SCRIPT = """
trap '' HUP INT TERM
while read -r sign group; do
    rest=
    for known in $groups; do [ "$known" = "$group" ] || rest="$rest $known"; done
    [ "$sign" = + ] && rest="$rest $group"
    groups=$rest
done
for group in $groups; do kill -s KILL -- "-$group"; done
"""


class Watchdog:
    """Hears of every child's process group through a pipe; when it closes, by a stop or SIGKILL, all end.

    A parent-death signal would reach the child alone, and only on Linux; this reaches its children too.
    """

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None

    def guard(self, group: int) -> None:
        self._groups.add(group)
        self._say(f"+ {group}\n")

    def release(self, group: int) -> None:
        self._groups.discard(group)
        self._say(f"- {group}\n")

    def close(self) -> None:
        """Whatever is still guarded is killed now."""
        if self._process is not None:
            self._end(self._process)
            self._process = None

    def _say(self, text: str) -> None:
        if self._process is not None:
            try:
                self._write(self._process, text)
            except OSError:  # somebody killed it
                self._end(self._process)
            else:
                return
        self._process = self._start()
        self._write(self._process, "".join(f"+ {group}\n" for group in self._groups))

    @staticmethod
    def _start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["/bin/sh", "-c", SCRIPT, "archestra-gateway-watchdog"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            bufsize=0,
            start_new_session=True,
        )

    @staticmethod
    def _write(process: subprocess.Popen[bytes], text: str) -> None:
        if text and process.stdin is not None:
            os.write(process.stdin.fileno(), text.encode())

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=2)

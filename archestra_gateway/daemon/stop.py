"""What ends the daemon: a signal, or the end of the process that started it."""

import asyncio
import logging
import os
import signal

import attrs

from archestra_gateway.daemon.exit_code import ExitCode

log = logging.getLogger(__name__)

PARENT_PAUSE = 0.5
INIT = 1
IMPATIENCE = 1.0
"""Seconds after which a second signal means "at once"; before, it is the same wish sent twice (Ctrl-C reaches
a whole process group, and wrappers pass it on)."""


@attrs.define
class Stop:
    """Made inside the loop that it is to end."""

    _wanted: asyncio.Event = attrs.field(factory=asyncio.Event)
    _since: float = 0.0

    def on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        # Ignored by a handler, for SIG_IGN would be inherited by every child.
        loop.add_signal_handler(signal.SIGHUP, log.info, "SIGHUP ignored: settings are read at the start")

    def _on_signal(self, number: signal.Signals) -> None:
        now = asyncio.get_running_loop().time()
        if not self._wanted.is_set():
            log.info("Stopping on %s", number.name)
            self._wanted.set()
            self._since = now
        elif now - self._since > IMPATIENCE:
            log.warning("Second %s: ending at once", number.name)
            os._exit(ExitCode.FAILED)

    async def wait(self, parent: int | None) -> None:
        """Until a signal has come or `parent` is no longer our parent.

        It is asked for now and then: Linux' PR_SET_PDEATHSIG watches the *thread* that started us, which in a
        desktop shell may end long before its process.
        """
        if parent is None:
            await self._wanted.wait()
            return
        while not self._wanted.is_set():
            if os.getppid() != parent or parent == INIT:
                log.info("Stopping: the process that started the gateway is gone")
                return
            try:
                async with asyncio.timeout(PARENT_PAUSE):
                    await self._wanted.wait()
            except TimeoutError:
                continue

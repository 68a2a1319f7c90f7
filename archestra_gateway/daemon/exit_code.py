"""How a command ends: one table for every verb."""

from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    """click's own: an unknown verb or flag."""
    NOT_RUNNING = 3
    """The number that service managers expect of `status`."""
    ALREADY_RUNNING = 4
    PORT_BUSY = 5
    DATA_DIR = 6
    CONFIG = 78
    """EX_CONFIG of sysexits.h."""


class CommandError(Exception):
    """The command can not do its work; the message says why and what to do."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.code = code

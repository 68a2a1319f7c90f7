"""What an install step tells whoever waits for it."""

from typing import Literal, Protocol

from archestra_gateway.errors import UpstreamError

Step = Literal["waiting", "tools", "resolving", "downloading", "checking", "trying"]


class Report(Protocol):
    def step(self, step: Step) -> None:
        """It begins."""

    def progress(self, done: int, total: int) -> None:
        """So many packages of so many."""

    def feed(self, data: bytes) -> None:
        """Bytes that a package manager wrote."""

    def last_words(self) -> list[str]:
        """The last lines of the package manager that are about something."""


class InstallFailed(UpstreamError):
    """The package manager gave up; the details have its own last lines."""

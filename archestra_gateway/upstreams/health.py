"""How an MCP server is doing, as its status shows it."""

import time
from collections.abc import Callable

import attrs

from archestra_gateway.errors import GatewayError


@attrs.define(eq=False)
class Health:
    """`error` is the last failure, until something works again; `next_try` is in seconds since the epoch."""

    changed: Callable[[], object] = lambda: None
    error: GatewayError | None = None
    next_try: float | None = None

    def worked(self) -> None:
        self.next_try = None
        if self.error is not None:
            self.error = None
            self.changed()

    def failed(self, error: GatewayError) -> None:
        self.error, self.next_try = error, None
        self.changed()

    def will_try(self, pause: float) -> None:
        """Again by itself, in so many seconds; of what works there is nothing to tell."""
        if self.error is not None:
            self.next_try = time.time() + pause

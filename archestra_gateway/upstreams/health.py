"""How an MCP server is doing, as its status shows it."""

import time
from collections.abc import Callable

import attrs

from archestra_gateway.errors import AuthorizationNeeded, GatewayError, UpstreamUnavailable
from archestra_gateway.schemas.mcp_server import State
from archestra_gateway.schemas.oauth import Authorization
from archestra_gateway.upstreams.backoff import Backoff


@attrs.define(eq=False)
class Health:
    """`error` is the last failure, until something works again; `next_try` and `since`, which is when `state`
    became what it is, are in seconds since the epoch. `changed` hears that the state may be another one."""

    name: str
    changed: Callable[[], object]
    backoff: Backoff = attrs.field(factory=Backoff)
    error: GatewayError | None = None
    next_try: float | None = None
    state: State = "stopped"
    since: float = attrs.field(factory=time.time)
    _could_start: bool = True

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

    def started(self) -> None:
        self._could_start = True
        self.worked()
        self.changed()

    def could_not_start(self, error: GatewayError) -> GatewayError:
        """What keeps dying stays the reason while it is left alone."""
        self._could_start = False
        if not self.is_left_alone:
            self.failed(error)
        return error

    def forget(self) -> None:
        """Another configuration may do better."""
        self.backoff.succeeded()
        self.started()

    @property
    def is_left_alone(self) -> bool:
        return self.backoff.is_crash_loop(time.monotonic())

    def check(self) -> float:
        """How many seconds to wait with a start. Raises UpstreamUnavailable while it is left alone."""
        if self.is_left_alone:
            last = self.error.message if self.error else ""
            raise UpstreamUnavailable(
                f"The MCP server {self.name} died {self.backoff.deaths} times in a row and is left alone "
                f"for now: look at its logs, repair it and start it. {last}".rstrip(),
                name=self.name,
            )
        return self.backoff.wait(time.monotonic())

    def note(self, state: State) -> bool:
        """Whether it is another one than before."""
        if state == self.state:
            return False
        self.state, self.since = state, time.time()
        return True

    def state_of(
        self, authorization: Authorization | None, *, is_running: bool, is_starting: bool, is_remote: bool
    ) -> State:
        if authorization is not None and authorization.state == "needed":
            return "needs_authorization"
        if is_running:
            return "error" if is_remote and self.error is not None else "running"
        if is_starting:
            return "starting"
        if self.is_left_alone:
            return "crash_loop"
        if authorization is not None and authorization.state == "authorizing":
            return "authorizing"
        if isinstance(self.error, AuthorizationNeeded) and authorization is None:
            return "needs_authorization"
        return "stopped" if self._could_start else "error"

"""How an MCP server is doing, as its status shows it."""

import time
from collections.abc import Callable
from math import ceil

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
    _not_before: float = 0.0
    """When it may be started again, as it asked itself, by the monotonic clock."""

    def worked(self) -> None:
        self.next_try = None
        if self.error is not None:
            self.error = None
            self.changed()

    def failed(self, error: GatewayError) -> None:
        self.error, self.next_try = error, None
        if asked := error.details.get("retry_after"):
            self.will_try(asked)
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
        if not self.is_left_alone and not self._asked():
            self.failed(error)
            self._not_before = time.monotonic() + error.details.get("retry_after", 0.0)
        return error

    def forgive(self) -> None:
        """It may be started now, whatever went wrong before."""
        self.backoff.succeeded()
        self._not_before = 0.0

    def forget(self) -> None:
        """Another configuration may do better."""
        self.forgive()
        self.started()

    @property
    def is_left_alone(self) -> bool:
        return self.backoff.is_crash_loop(time.monotonic())

    def check(self) -> float:
        """How many seconds to wait with a start. Raises UpstreamUnavailable while it is left alone."""
        last = self.error.message if self.error else ""
        if seconds := self._asked():
            raise UpstreamUnavailable(
                f"The MCP server {self.name} asks to be left alone for another {ceil(seconds)} s. {last}",
                name=self.name,
                retry_after=ceil(seconds),
            )
        if self.is_left_alone:
            raise UpstreamUnavailable(
                f"The MCP server {self.name} died {self.backoff.deaths} times in a row and is left alone "
                f"for now: look at its logs, repair it and start it. {last}".rstrip(),
                name=self.name,
            )
        return self.backoff.wait(time.monotonic())

    def _asked(self) -> float:
        return max(0.0, self._not_before - time.monotonic())

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

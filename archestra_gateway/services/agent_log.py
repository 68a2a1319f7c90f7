"""Model calls and tool calls of a run in the request log, joined by chat and run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs

from archestra_gateway.errors import GatewayError
from archestra_gateway.services.mcp_request_log import Entry, RequestLog

STATUS = {"UPSTREAM_UNAVAILABLE": 503, "UPSTREAM_TIMEOUT": 504, "RESOURCE_NOT_FOUND": 404}


@attrs.define(eq=False)
class Calls:
    """`session_id` is the chat; the first call has the run's id, which is the `X-Request-Id` of the chat's
    request, as its own, and the following ones have `<run>.2`, `<run>.3` …"""

    log: RequestLog
    run_id: str
    chat_id: str
    client_info: dict[str, str | None] = attrs.field(factory=dict)
    _count: int = 0

    @property
    def kept(self) -> int:
        """Bytes of a body that the log wants: one more than it stores, which says that there was more."""
        return self.log.body_limit + 1

    @contextmanager
    def recorded(self, **known: Any) -> Iterator[Entry]:
        """The entry of a call that starts now; written when the block ends, however it ends."""
        self._count += 1
        entry = Entry(
            request_id=self.run_id if self._count == 1 else f"{self.run_id}.{self._count}",
            timestamp=time.time(),
            session_id=self.chat_id,
            client_info=self.client_info,
            **known,
        )
        try:
            yield entry
        except GatewayError as error:
            entry.error_message = error.message
            entry.status_code = entry.status_code or STATUS.get(error.code, 502)
            raise
        except BaseException:
            entry.error_message = "The call was ended before its answer was complete"
            raise
        finally:
            entry.end()
            self.log.record(entry)

"""What the daemon says unasked: the GET stream of a session, opened again whenever it ends."""

import threading

from archestra_gateway.bridge.bridge import NOT_FOUND, Bridge
from archestra_gateway.bridge.exchange import BROKEN
from archestra_gateway.bridge.headers import Session
from archestra_gateway.bridge.output import say
from archestra_gateway.errors import GatewayError

OK = 200
PAUSE = 0.3


class Listener:
    """Follows the bridge's session from one daemon to the next. It starts none: only requests do that."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._ended = threading.Event()
        self._refused: Session | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            session = self._bridge.session
            if session is not None and session is not self._refused:
                try:
                    self._listen(session)
                except GatewayError as error:
                    say(error.message)
                except BROKEN:
                    pass  # the daemon ended; the next one is waited for
            self._ended.wait(PAUSE)

    def _listen(self, session: Session) -> None:
        exchange = self._bridge.get(session)
        if exchange is None:
            return
        with exchange:
            status = exchange.response.status
            if status == OK:
                for text in exchange.messages():
                    self._bridge.output.write(text)
                return
        if status == NOT_FOUND and session.id and session is self._bridge.session:
            self._bridge.renew(session)
        else:
            self._refused = session  # this server has no such stream

"""Every message of the client goes to the daemon, every message of the daemon to the client."""

import threading
import time
from collections.abc import Iterator
from urllib.parse import quote

from msgspec import Raw

from archestra_gateway import __version__
from archestra_gateway.bridge.exchange import BROKEN, Exchange
from archestra_gateway.bridge.gateway import Gateway
from archestra_gateway.bridge.headers import SESSION_ID, Session, headers_for, headers_in
from archestra_gateway.bridge.output import Output, say
from archestra_gateway.errors import GatewayError, UpstreamError
from archestra_gateway.protocol import jsonrpc, mcp
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.protocol.modern_headers import is_modern
from archestra_gateway.protocol.parameters import Parameters

NOT_FOUND = 404
BOTH = "application/json, text/event-stream"
BREAK = (
    "The gateway ended before it answered. Whether the request was carried out is not known; it was not"
    " repeated"
)
INITIALIZED = jsonrpc.encode(jsonrpc.notification(mcp.INITIALIZED))


class Bridge:
    """`take` is called by one thread; each request that waits for its answer has a thread of its own."""

    def __init__(self, gateway: Gateway, path: str, client_name: str | None, output: Output) -> None:
        self.gateway = gateway
        self.output = output
        self.session: Session | None = None
        self._path = path
        self._introduction = {"User-Agent": f"archestra-gateway-bridge/{__version__}"}
        if client_name:
            self._introduction["X-Client-Name"] = quote(client_name, safe=" ")
        self._renewing = threading.Lock()
        self._waiting: set[threading.Thread] = set()
        self._modern: dict[bytes, Exchange] = {}
        self._parameters = Parameters()

    def take(self, line: bytes) -> None:
        """One message of the client; never raises."""
        try:
            message = jsonrpc.decode(line)
            kind = jsonrpc.kind(message)
        except jsonrpc.ProtocolError as error:
            self.output.fail(None, error)
            return
        if kind != "request":
            self._notify(line, message)
            return
        try:
            if mcp.method(message) == mcp.INITIALIZE:
                self.end()
                self.session = self._initialize(line, is_the_clients=True)
            else:
                self._request(line, message)
        except GatewayError as error:
            self.output.fail(message["id"], error)
        except BROKEN:
            self.output.fail(message["id"], UpstreamError(BREAK))

    def renew(self, stale: Session) -> Session:
        """A session in the place of one that the daemon forgot: the first who asks opens it.

        Raises GatewayError, or what is in BROKEN.
        """
        with self._renewing:
            if self.session is stale:
                renewed = self._initialize(stale.initialize)
                if renewed is None:
                    raise UpstreamError("The gateway refuses to open the session again")
                with self.post(INITIALIZED, headers_in(renewed)) as exchange:
                    exchange.response.read()
                self.session = renewed
            return self.session or stale

    def get(self, session: Session) -> Exchange | None:
        """What the session's server says unasked; None while no daemon runs. Raises what is in BROKEN."""
        connection = self.gateway.connect_if_running()
        if connection is None:
            return None
        headers = self._headers({**headers_in(session), "Accept": "text/event-stream"})
        return Exchange(connection, "GET", self._path, headers)

    def post(self, text: bytes, headers: dict[str, str]) -> Exchange:
        """Raises UpstreamUnavailable, or what is in BROKEN."""
        headers = self._headers({"Accept": BOTH, "Content-Type": "application/json", **headers})
        return Exchange(self.gateway.connect(), "POST", self._path, headers, text)

    def drain(self, seconds: float) -> None:
        """Waits for answers that are under way."""
        deadline = time.monotonic() + seconds
        for thread in tuple(self._waiting):
            thread.join(max(0.0, deadline - time.monotonic()))

    def end(self) -> None:
        """Ends the session, where there is one and somebody who knows it."""
        session, self.session = self.session, None
        if session is None or session.id is None:
            return
        try:
            if connection := self.gateway.connect_if_running():
                connection.sock.settimeout(1.0)
                headers = self._headers(headers_in(session))
                with Exchange(connection, "DELETE", self._path, headers) as exchange:
                    exchange.response.read()
        except (GatewayError, *BROKEN) as error:
            say(f"The session could not be ended: {error}")

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        token = self.gateway.token()
        # `localhost` is the one name that every gateway answers to.
        base = {"Host": "localhost", "Connection": "close", "Authorization": f"Bearer {token}"}
        return {**base, **self._introduction, **more}

    def _notify(self, line: bytes, message: Message) -> None:
        """A notification, or the answer to a question; nothing that would be worth starting a daemon for."""
        if mcp.method(message) == mcp.CANCELLED:
            call = self._modern.get(bytes(mcp.request_id(message.get("params")) or b""))
            if call is not None:
                call.cancel()  # since 2026-07-28 over HTTP, to leave is to cancel
                return
        try:
            if self.gateway.find() is None:
                return
            with self.post(line, headers_for(message, self.session)) as exchange:
                for text in exchange.messages():
                    if exchange.response.status != NOT_FOUND:
                        self.output.write(text)
        except (GatewayError, *BROKEN) as error:
            say(f"The gateway did not take a message: {error}")

    def _request(self, line: bytes, message: Message) -> None:
        """Sent in the order in which requests come, answered in any."""
        session = None if is_modern(message) else self.session
        headers = headers_for(message, session)
        if is_modern(message):
            headers |= self._parameters.headers_for(message)
        exchange = self.post(line, headers)
        if is_modern(message):
            self._modern[bytes(message["id"])] = exchange
        thread = threading.Thread(target=self._finish, args=(exchange, line, message, session), daemon=True)
        self._waiting.add(thread)
        thread.start()

    def _finish(self, exchange: Exchange, line: bytes, message: Message, session: Session | None) -> None:
        identifier = message["id"]
        try:
            with exchange:
                is_lost = session and session.id and exchange.response.status == NOT_FOUND
                if not (is_lost and session):
                    self._deliver(exchange, identifier)
                    return
            renewed = self.renew(session)  # the daemon has not looked at the request, so it may go again
            with self.post(line, headers_for(message, renewed)) as again:
                self._deliver(again, identifier)
        except GatewayError as error:
            self.output.fail(identifier, error)
        except BROKEN:
            if not exchange.is_cancelled:
                self.output.fail(identifier, UpstreamError(BREAK))
        finally:
            self._modern.pop(bytes(identifier), None)
            self._waiting.discard(threading.current_thread())

    def _deliver(self, exchange: Exchange, identifier: Raw) -> None:
        """Raises UpstreamError when the answer is not among what came."""
        is_answered = False
        for text, message in _read(exchange):
            if "method" not in message and message.get("id") == jsonrpc.NULL:
                message = {**message, "id": identifier}
                text = jsonrpc.encode(message)
            self._parameters.learn(text, message)
            self.output.write(text)
            is_answered = is_answered or _answers(message, identifier)
        if not is_answered and not exchange.is_cancelled:
            raise UpstreamError(BREAK)

    def _initialize(self, line: bytes, *, is_the_clients: bool = False) -> Session | None:
        """The session that the daemon opens; None when it refuses.

        Raises GatewayError, or what is in BROKEN.
        """
        identifier = jsonrpc.decode(line)["id"]
        with self.post(line, {}) as exchange:
            answer: Message = {}
            for text, message in _read(exchange):
                if _answers(message, identifier):
                    answer = message
                if is_the_clients or not _answers(message, identifier):
                    self.output.write(text)
            session_id = exchange.response.headers.get(SESSION_ID)
        if not answer:
            raise UpstreamError(BREAK)
        version = mcp.member(answer.get("result"), "protocolVersion")
        return Session(line, session_id, version) if isinstance(version, str) else None


def _read(exchange: Exchange) -> Iterator[tuple[bytes, Message]]:
    """The messages of an answer, as text and taken apart. Raises UpstreamError for what is none."""
    for text in exchange.messages():
        try:
            message = jsonrpc.decode(text)
            jsonrpc.kind(message)
        except jsonrpc.ProtocolError as error:
            if b'"jsonrpc"' not in text:
                raise UpstreamError(f"The gateway answered HTTP {exchange.response.status}") from error
            message = {}
        yield text, message


def _answers(message: Message, identifier: Raw) -> bool:
    return "method" not in message and message.get("id") == identifier

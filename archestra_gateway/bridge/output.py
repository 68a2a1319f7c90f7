"""What the client gets: one JSON-RPC message a line on stdout, and nothing else there."""

import os
import sys
import threading

from msgspec import Raw

from archestra_gateway.errors import GatewayError
from archestra_gateway.protocol import jsonrpc

STDOUT = 1


class Output:
    """Written to by every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def write(self, text: bytes) -> None:
        """Past Python's own buffer, whose lock must not be held when the program ends. Never raises."""
        line = memoryview(text.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n")
        with self._lock:
            try:
                while line:
                    line = line[os.write(STDOUT, line) :]
            except OSError as error:  # nobody reads any more; the end of stdin comes next
                say(f"The client takes no messages: {error.strerror}")

    def fail(self, identifier: Raw | None, error: GatewayError) -> None:
        self.write(jsonrpc.encode(jsonrpc.failure(identifier, error)))


def say(sentence: str) -> None:
    """For the client's own log."""
    sys.stderr.write(f"archestra-gateway: {sentence}\n")
    sys.stderr.flush()

"""One run of the bridge: stdin to its end."""

import signal
import sys

from archestra_gateway.bridge.bridge import Bridge
from archestra_gateway.bridge.gateway import Gateway
from archestra_gateway.bridge.listener import Listener
from archestra_gateway.bridge.output import Output

DRAIN = 10.0


def run(gateway: Gateway, path: str, client_name: str | None) -> None:
    """Returns at the end of stdin, once what was asked is answered; at once on SIGTERM and Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    bridge = Bridge(gateway, path, client_name, Output())
    listener = Listener(bridge)
    listener.start()
    try:
        for line in sys.stdin.buffer:
            if message := line.strip():
                bridge.take(message)
        bridge.drain(DRAIN)
    except KeyboardInterrupt:
        pass  # the client has no more patience
    finally:
        listener.stop()
        bridge.end()
